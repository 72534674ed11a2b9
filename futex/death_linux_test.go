package futex_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// A held tells a child which words it has: 0 a mutex, 8 its progress, 12 its token, 16 an event count.
type held struct {
	Seg     *shm.Segment
	Ballast int // bytes of memory that the child touches first
}

var ballast []byte // of the holder

var holder = spawn.NewTarget("futex.holder", func(ctx context.Context, h held) error {
	ballast = make([]byte, h.Ballast)
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	mem := h.Seg.Bytes()
	mu, err := futex.NewMutex(mem, h.Seg)
	if err != nil {
		return err
	}
	if err := mu.Lock(ctx); err != nil && !errors.Is(err, futex.ErrOwnerDied) {
		return err
	}
	atomic.StoreUint32(wordAt(mem, 12), h.Seg.Self())
	atomic.AddUint32(wordAt(mem, 8), 1)
	select {}
})

// startHolder starts a process that holds the mutex.
func startHolder(t testing.TB, seg *shm.Segment, ballast int) *spawn.Process {
	t.Helper()
	progress := wordAt(seg.Bytes(), 8)
	before := atomic.LoadUint32(progress)
	p, err := holder.Start(proctest.Context(t), held{seg, ballast}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		<-p.Done()
	})
	proctest.Eventually(t, func() bool { return atomic.LoadUint32(progress) != before }, "a child takes the lock")
	return p
}

// TestDeathIsHeardOf has many wait for a process that is killed, and looks at what it costs and leaves.
func TestDeathIsHeardOf(t *testing.T) {
	seg := newSegment(t, 64)
	mem := seg.Bytes()
	fds := proctest.FDs(t)
	var took []time.Duration
	for range 10 {
		p := startHolder(t, seg, 0)
		mu, _ := futex.NewMutex(mem, seg)
		ev, _ := futex.NewEventCount(mem[16:])
		tok := atomic.LoadUint32(wordAt(mem, 12))
		var killed atomic.Pointer[time.Time]
		ends := make(chan error, 20)
		for i := range 20 {
			go func() {
				if i%2 == 0 {
					err := mu.Lock(proctest.Context(t))
					took = append(took, time.Since(*killed.Load())) // under the lock
					mu.MarkConsistent()
					if e := mu.Unlock(); e != nil {
						err = e
					}
					ends <- err
					return
				}
				ends <- ev.AwaitPeers(proctest.Context(t), func() (bool, error) { return false, nil }, func() error {
					if !seg.Alive(tok) {
						return errDied
					}
					return nil
				}, seg, func() []uint32 { return []uint32{tok, 0} })
			}()
		}
		proctest.Eventually(t, func() bool { return proctest.FDs(t) > fds }, "a waiter watches the owner")
		time.Sleep(20 * time.Millisecond) // so that most slices are long: the test is right without
		now := time.Now()
		killed.Store(&now)
		p.Kill()
		died, robbed := 0, 0
		for range 20 {
			switch err := <-ends; {
			case errors.Is(err, errDied):
				died++
			case errors.Is(err, futex.ErrOwnerDied):
				robbed++
			case err != nil:
				t.Error(err)
			}
		}
		if died != 10 || robbed != 1 {
			t.Errorf("%d heard of the peer's death and %d of the owner's, want 10 and 1", died, robbed)
		}
		<-p.Done()
	}
	proctest.Eventually(t, func() bool { return proctest.FDs(t) <= fds }, "the watches are closed")
	slices.Sort(took)
	t.Logf("after the kill the lock was taken in %v (first), %v (median of all), %v (last)", took[0], took[len(took)/2], took[len(took)-1])
}

var errDied = errors.New("the peer died")

// TestProofAfterHint: when a process with much memory is killed the hint comes after the memory is gone, unless somebody reads its files under /proc just
// then and so keeps it.
func TestProofAfterHint(t *testing.T) {
	const kills = 5
	seg := newSegment(t, 64)
	early, kept := 0, 0 // hints before the proof, and those of them after which the memory was seen to be there
	for range kills {
		p := startHolder(t, seg, 256<<20)
		environ, err := os.Open(fmt.Sprintf("/proc/%d/environ", p.PID()))
		ok(t, err)
		tok := atomic.LoadUint32(wordAt(seg.Bytes(), 12))
		hint := make(chan bool, 1)
		stop := seg.Watch(tok, func() { hint <- seg.Alive(tok) })
		p.Kill()
		alive := <-hint
		n, _ := environ.Read(make([]byte, 1)) // it stands in the memory
		stop()
		ok(t, environ.Close())
		if alive {
			early++
			if n > 0 {
				kept++
			}
		}
		<-p.Done()
		proctest.Dead(t, seg, p.PID())
	}
	if early-kept > 1 { // who kept the memory may have let go between the two looks, but not each time
		t.Fatalf("the hint came before the proof %d times of %d, and nobody was seen to keep the memory %d times of these", early, kills, early-kept)
	}
	if early == kills {
		t.Skipf("somebody keeps the memory of the dead all the time: after %d of %d hints it was there", kept, kills)
	}
}

// TestWatch: who is watched, when it calls, and what it leaves.
func TestWatch(t *testing.T) {
	seg := newSegment(t, 64)
	fds := proctest.FDs(t)
	p := startHolder(t, seg, 0)
	fds2 := proctest.FDs(t)
	tok := atomic.LoadUint32(wordAt(seg.Bytes(), 12))
	called := make(chan string, 10)
	stop1 := seg.Watch(tok, func() { called <- "one" })
	one := proctest.FDs(t)
	stop2 := seg.Watch(tok, func() { called <- "two" })
	if two := proctest.FDs(t); one != fds2+1 || two != one {
		t.Errorf("two who watch the same cost %d and %d descriptors, want 1 and 0", one-fds2, two-one)
	}
	stop1()
	if n := proctest.FDs(t); n != one {
		t.Error("the descriptor was closed while somebody watched")
	}
	stop2()
	stop2()
	if n := proctest.FDs(t); n != fds2 {
		t.Error("the descriptor stayed open when nobody watched any more")
	}
	seg.Watch(seg.Self(), func() { called <- "self" })()
	stop := seg.Watch(tok, func() { called <- "killed" })
	p.Kill()
	if s := <-called; s != "killed" {
		t.Errorf("%q was called, want killed", s)
	}
	stop()
	<-p.Done()
	for _, dead := range []uint32{tok, 0, 5000, 1<<30 - 1} { // the last three are nobody's
		seg.Watch(dead, func() { called <- "dead" })
		if s := <-called; s != "dead" {
			t.Errorf("%q was called for token %#x, want dead", s, dead)
		}
	}
	startHolder(t, seg, 0)
	tok = atomic.LoadUint32(wordAt(seg.Bytes(), 12))
	seg.Watch(tok, func() { called <- "closed" })
	seg.Close()
	if s := <-called; s != "closed" {
		t.Errorf("%q was called, want closed", s)
	}
	stop = seg.Watch(tok, func() { called <- "late" })
	<-called
	stop()
	proctest.Eventually(t, func() bool { return proctest.FDs(t) <= fds+8 }, "closing ends the watches")
}

// TestStoppedOwner: a stopped owner is not taken for dead.
func TestStoppedOwner(t *testing.T) {
	seg := newSegment(t, 64)
	p := startHolder(t, seg, 0)
	mu, _ := futex.NewMutex(seg.Bytes(), seg)
	proctest.Stop(t, p.PID())
	ctx, cancel := context.WithTimeout(proctest.Context(t), 150*time.Millisecond)
	defer cancel()
	if err := mu.Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a stopped owner ended with %v", err)
	}
	p.Kill()
	if err := mu.Lock(proctest.Context(t)); !errors.Is(err, futex.ErrOwnerDied) {
		t.Errorf("the lock of a process that was killed while it was stopped came with %v", err)
	}
}

// TestCloseEndsWaits: closing the segment ends the waits for a watched owner.
func TestCloseEndsWaits(t *testing.T) {
	seg := newSegment(t, 64)
	startHolder(t, seg, 0)
	fds := proctest.FDs(t)
	mu, _ := futex.NewMutex(seg.Bytes(), seg)
	end := make(chan error)
	go func() { end <- mu.Lock(proctest.Context(t)) }()
	proctest.Eventually(t, func() bool { return proctest.FDs(t) > fds }, "the waiter watches the owner")
	seg.Close()
	if err := <-end; !errors.Is(err, futex.ErrClosed) {
		t.Errorf("the wait ended with %v, want ErrClosed", err)
	}
}
