package bench

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/shm"
)

// settling is how long those who wait have to fall asleep, ten thousand of them too.
const settling = 20 * time.Millisecond

// wakings is the most wakings of a sample.
const wakings = 8

// manyThreads is how many waiters are too many where each of them is a thread.
const manyThreads = 1000

func wakeScenarios() []Scenario {
	var all []Scenario
	for _, waiters := range []int{1, 100, 10_000} {
		s := Scenario{
			Name: fmt.Sprintf("wait/event-%d", waiters),
			Doc: "one waking of " + plural(waiters, "goroutine") + " of a process, until the last is awake, by an event that another process sets; " +
				"threads says how many the process has",
			Impls:  []Impl{multiprocWake(waiters, false), goroutineWake(waiters, false)},
			Long:   true,
			Rounds: curveRounds,
		}
		if waiters < manyThreads {
			pthread, cpython := cImpl("pthread", "wake", waiters), cpythonImpl("wake", waiters)
			pthread.Most, cpython.Most = wakings, wakings
			s.Impls = append(s.Impls, cpython, pthread)
			s.Doc += "; pthread has as many threads at a condition variable, cpython at an event"
		}
		all = append(all, s)
	}
	for _, waiters := range []int{100, 10_000} {
		all = append(all, Scenario{
			Name:   fmt.Sprintf("wait/locks-%d", waiters),
			Doc:    "one waking of " + plural(waiters, "goroutine") + " of a process that wait each for a lock of its own: from the first unlock by another process until the last has its lock",
			Impls:  []Impl{multiprocWake(waiters, true), goroutineWake(waiters, true)},
			Long:   true,
			Rounds: curveRounds,
		})
	}
	return all
}

// A crowdArg is what one process wakes the goroutines of another by, and how the two take turns.
type crowdArg struct {
	Event   *multiproc.Event
	Locks   *shm.Segment // a lock for each of them; nil: they wait for the event
	Waiters int
	Go      *multiproc.Queue[byte]
	Asleep  *multiproc.Queue[byte]
	Awake   *multiproc.Queue[awake]
}

// awake says when the last of them was awake, and how many threads they had.
type awake struct {
	At      int64
	Threads int
}

// lock returns the lock of one of them.
func (a *crowdArg) lock(i int) (*futex.Mutex, error) {
	return futex.NewMutex(a.Locks.Bytes()[lockSize*i:], a.Locks)
}

const lockSize = futex.MutexSize

var wakeTarget = multiproc.NewTarget("bench.wake", func(ctx context.Context, m member[crowdArg]) error {
	if err := m.start(ctx); err != nil {
		return err
	}
	a := &m.Arg
	if m.Me == 1 {
		for range m.N {
			if _, err := a.Go.Get(ctx); err != nil {
				return err
			}
			if err := a.crowd(ctx); err != nil {
				return err
			}
		}
		return m.sent(ctx)
	}
	var locks []*futex.Mutex
	for i := range a.Waiters {
		if a.Locks != nil {
			mu, err := a.lock(i)
			if err != nil {
				return err
			}
			locks = append(locks, mu)
		}
	}
	var elapsed int64
	threads := 0
	for range m.N {
		took, had, err := a.wake(ctx, locks)
		if err != nil {
			return err
		}
		elapsed += took
		threads = max(threads, had)
	}
	return m.Reports.Put(ctx, report{Me: m.Me, Begin: m.begin, End: m.begin + elapsed, Count: m.N, Sum: uint64(threads)})
})

// crowd has the goroutines wait once.
func (a *crowdArg) crowd(ctx context.Context) error {
	var entered, left atomic.Int64
	errs := make(chan error, a.Waiters+2)
	var all sync.WaitGroup
	for i := range a.Waiters {
		all.Go(func() {
			if entered.Add(1) == int64(a.Waiters) {
				errs <- a.Asleep.Put(ctx, 0)
			}
			err := a.await(ctx, i)
			if left.Add(1) == int64(a.Waiters) {
				errs <- a.Awake.Put(ctx, awake{monotonic(), threadsOfThis()})
			}
			errs <- err
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *crowdArg) await(ctx context.Context, i int) error {
	if a.Locks == nil {
		return a.Event.Wait(ctx)
	}
	mu, err := a.lock(i)
	if err != nil {
		return err
	}
	if err := mu.Lock(ctx); err != nil {
		return err
	}
	return mu.Unlock()
}

// wake lets the crowd fall asleep, and wakes it.
func (a *crowdArg) wake(ctx context.Context, locks []*futex.Mutex) (took int64, threads int, err error) {
	if err := a.Event.Clear(); err != nil {
		return 0, 0, err
	}
	for _, mu := range locks {
		if err := mu.Lock(ctx); err != nil {
			return 0, 0, err
		}
	}
	if err := a.Go.Put(ctx, 0); err != nil {
		return 0, 0, err
	}
	if _, err := a.Asleep.Get(ctx); err != nil {
		return 0, 0, err
	}
	time.Sleep(settling)
	begin := monotonic()
	for _, mu := range locks {
		if err := mu.Unlock(); err != nil {
			return 0, 0, err
		}
	}
	if locks == nil {
		if err := a.Event.Set(); err != nil {
			return 0, 0, err
		}
	}
	last, err := a.Awake.Get(ctx)
	return last.At - begin, last.Threads, err
}

// threadsOfThis returns how many threads this process has, or 0 where the system does not tell.
func threadsOfThis() int {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return 0
	}
	return len(tasks)
}

func multiprocWake(waiters int, own bool) Impl {
	im := multiprocImpl(nil)
	im.Most = wakings
	im.Run = func(ctx context.Context, n int) (Result, error) {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		elapsed, threads, err := runWake(ctx, n, waiters, own)
		if err != nil {
			return Result{}, fmt.Errorf("multiproc: %w", err)
		}
		r := Result{Ops: n, Elapsed: elapsed}
		if threads > 0 {
			r.Extra = map[string]string{Threads: strconv.Itoa(threads)}
		}
		return r, nil
	}
	return im
}

func runWake(ctx context.Context, n, waiters int, own bool) (elapsed time.Duration, threads int, err error) {
	a := crowdArg{Waiters: waiters}
	if a.Event, err = multiproc.NewEvent(); err != nil {
		return 0, 0, err
	}
	defer a.Event.Free()
	if a.Go, err = multiproc.NewQueue[byte](nil); err != nil {
		return 0, 0, err
	}
	defer a.Go.Free()
	if a.Asleep, err = multiproc.NewQueue[byte](nil); err != nil {
		return 0, 0, err
	}
	defer a.Asleep.Free()
	if a.Awake, err = multiproc.NewQueue[awake](nil); err != nil {
		return 0, 0, err
	}
	defer a.Awake.Free()
	if own {
		if a.Locks, err = shm.New(&shm.Options{Size: lockSize * waiters}); err != nil {
			return 0, 0, err
		}
		defer a.Locks.Close()
	}
	elapsed, total, err := runCrew(ctx, wakeTarget, n, 2, a)
	return elapsed, int(total.Sum), err
}

// goroutineWake is the same in one process: they wait for a channel to be closed, or each for a mutex of its own.
func goroutineWake(waiters int, own bool) Impl {
	im := goroutineImpl(func(ctx context.Context, n int) (elapsed time.Duration, err error) {
		locks := make([]sync.Mutex, waiters)
		for range n {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			elapsed += goroutineCrowd(locks, own)
		}
		return elapsed, nil
	})
	im.Most = wakings
	return im
}

func goroutineCrowd(locks []sync.Mutex, own bool) time.Duration {
	event := make(chan struct{})
	if own {
		for i := range locks {
			locks[i].Lock()
		}
	}
	var entered, all sync.WaitGroup
	var left atomic.Int64
	var at time.Time
	entered.Add(len(locks))
	for i := range locks {
		all.Go(func() {
			entered.Done()
			if own {
				locks[i].Lock()
				defer locks[i].Unlock()
			} else {
				<-event
			}
			if left.Add(1) == int64(len(locks)) {
				at = time.Now()
			}
		})
	}
	entered.Wait()
	time.Sleep(settling)
	begin := time.Now()
	if own {
		for i := range locks {
			locks[i].Unlock()
		}
	} else {
		close(event)
	}
	all.Wait()
	return at.Sub(begin)
}
