package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc"
)

// multiprocImpl makes an Impl of a body that returns the time it measured.
func multiprocImpl(run func(ctx context.Context, n int) (time.Duration, error)) Impl {
	return multiprocTurns(func(ctx context.Context, n int) (time.Duration, []int, error) {
		elapsed, err := run(ctx, n)
		return elapsed, nil, err
	})
}

// multiprocTurns makes an Impl of a body that also returns how many operations each process did, where they took turns.
func multiprocTurns(run func(ctx context.Context, n int) (time.Duration, []int, error)) Impl {
	return Impl{
		Name:    "multiproc",
		Missing: multiprocMissing,
		Run: func(ctx context.Context, n int) (Result, error) {
			if err := ctx.Err(); err != nil {
				return Result{}, err
			}
			elapsed, counts, err := run(ctx, n)
			if err != nil {
				return Result{}, fmt.Errorf("multiproc: %w", err)
			}
			return Result{Ops: n, Elapsed: elapsed, Extra: fairness(counts)}, nil
		},
	}
}

// multiprocMissing makes the smallest shared object: where that is unsupported so is the rest.
var multiprocMissing = sync.OnceValue(func() string {
	m, err := multiproc.NewMutex()
	if err != nil {
		return err.Error()
	}
	_ = m.Free() // nobody has it
	return ""
})

// A member is what each process of a sample is started with.
type member[A any] struct {
	Me, Parts int // this one's number, and how many there are
	N         int // operations of all together
	Arg       A
	Ready     *multiproc.Value[int64] // how many stand at the start line
	Gun       *multiproc.Queue[byte]  // a shot for each of those who wait there
	Reports   *multiproc.Queue[report]
	begin     int64 `multiproc:"-"` // the member's own: when it left the start line
}

// A report is what a member tells of its work; End is 0 if it does not count for the end.
type report struct {
	Me         int
	Begin, End int64 // CLOCK_MONOTONIC, nanoseconds
	Count      int
	Sum        uint64
	Sent       bool // what it did does not count by itself
}

// A tally is what the members of a crew counted, together and each of those whose work counts.
type tally struct {
	Count  int
	Sum    uint64
	Counts []int
}

// share returns how many of the operations are this member's.
func (m *member[A]) share() int { return shareOf(m.N, m.Parts, m.Me) }

// start waits until all members are at the start line. They sleep there: where there are more of them than CPUs, those
// who spin would keep the CPU from those who could start.
func (m *member[A]) start(ctx context.Context) error {
	ready, err := multiproc.Add(m.Ready, 1)
	if err != nil {
		return err
	}
	if ready == int64(m.Parts) { // the last one gives the start
		_, err = m.Gun.PutBatch(ctx, make([]byte, m.Parts-1))
	} else {
		_, err = m.Gun.Get(ctx)
	}
	m.begin = monotonic()
	return err
}

// done reports work that ends the measured time.
func (m *member[A]) done(ctx context.Context, count int, sum uint64) error {
	return m.Reports.Put(ctx, report{Me: m.Me, Begin: m.begin, End: monotonic(), Count: count, Sum: sum})
}

// sent reports work whose end is with somebody else: messages count when they are received.
func (m *member[A]) sent(ctx context.Context) error {
	return m.Reports.Put(ctx, report{Me: m.Me, Begin: m.begin, Sent: true})
}

// runCrew runs parts processes of a target and returns the time from the first begin to the last end, and what was
// counted. When one of them fails, or ctx ends, all are killed.
func runCrew[A any](ctx context.Context, t *multiproc.Target[member[A]], n, parts int, arg A) (elapsed time.Duration, total tally, err error) {
	ready, err := multiproc.NewValue[int64](0)
	if err != nil {
		return 0, total, err
	}
	defer ready.Free()
	reports, err := multiproc.NewQueue[report](nil)
	if err != nil {
		return 0, total, err
	}
	defer reports.Free()

	gun, err := multiproc.NewQueue[byte](nil)
	if err != nil {
		return 0, total, err
	}
	defer gun.Free()

	ctx, cancel := context.WithCancelCause(ctx) // the cause: what went wrong with a process
	defer cancel(nil)
	c := newCrew(cancel)
	defer func() { err = c.dismiss(ctx, err) }()
	for me := range parts {
		m := member[A]{Me: me, Parts: parts, N: n, Arg: arg, Ready: ready, Gun: gun, Reports: reports}
		if err := addToCrew(ctx, c, t, m); err != nil {
			return 0, total, err
		}
	}
	first, last := int64(1<<63-1), int64(0)
	for range parts {
		r, err := reports.Get(ctx)
		if err != nil {
			return 0, total, err
		}
		first, last = min(first, r.Begin), max(last, r.End)
		if !r.Sent {
			total.Counts = append(total.Counts, r.Count)
		}
		total.Count += r.Count
		total.Sum += r.Sum
	}
	return time.Duration(last - first), total, nil
}

// A crew is the processes of a sample.
type crew struct {
	cancel    context.CancelCauseFunc
	options   *multiproc.ProcessOptions // of all
	processes []*multiproc.Process
	waiting   sync.WaitGroup
}

func newCrew(cancel context.CancelCauseFunc) *crew { return &crew{cancel: cancel} }

// addToCrew starts a process. If it fails the crew's context ends.
func addToCrew[A any](ctx context.Context, c *crew, t *multiproc.Target[A], arg A) error {
	p, err := t.Start(ctx, arg, c.options)
	if err != nil {
		return err
	}
	c.processes = append(c.processes, p)
	c.waiting.Go(func() {
		if err := p.Wait(context.Background()); err != nil {
			c.cancel(err)
		}
	})
	return nil
}

// hear waits for the news of a process that has failed: a queue tells of its death first, but not what it died of.
func (c *crew) hear(ctx context.Context) {
	all := make(chan struct{})
	go func() {
		c.waiting.Wait()
		close(all)
	}()
	select {
	case <-ctx.Done():
	case <-all:
	case <-time.After(time.Second): // the others may wait for each other
	}
}

// dismiss waits for all processes; after an error it kills them first, and returns what was the reason for it.
func (c *crew) dismiss(ctx context.Context, err error) error {
	if errors.Is(err, multiproc.ErrPeerDied) {
		c.hear(ctx)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		for _, p := range c.processes {
			_ = p.Kill() // one that has ended is meant as well
		}
	}
	c.waiting.Wait()
	if cause := context.Cause(ctx); err == nil && cause != nil {
		err = cause
	}
	for _, p := range c.processes {
		err = errors.Join(err, p.Close())
	}
	return err
}
