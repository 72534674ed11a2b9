package futex_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// The phases of a mutex's mode, the second of its words.
const (
	isBlind   = 0
	isSettled = 2
	isNever   = 3
)

// giveUp waits for a lock that is held, until it has said so, and gives up.
func giveUp(t *testing.T, m *futex.Mutex, word *uint32) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	end := waiting(func() error { return m.Lock(ctx) })
	proctest.Eventually(t, func() bool { return atomic.LoadUint32(word)&1 != 0 }, "somebody waits")
	cancel()
	wantErr(t, <-end, context.Canceled)
}

// The first who sleeps has every unlock be an exchange; so many that find nobody waiting undo that, with a generation more. An unlock that finds
// somebody begins the count again.
func TestModes(t *testing.T) {
	defer futex.SetCalm(futex.SetCalm(5))
	seg := newSegment(t, 64)
	m, word, mode := newMutex(t, seg), wordAt(seg.Bytes(), 0), wordAt(seg.Bytes(), 4)
	unlocks := func(n int) {
		t.Helper()
		for range n {
			ok(t, m.Lock(t.Context()))
			ok(t, m.Unlock())
			wantErr(t, m.Unlock(), futex.ErrNotOwner)
		}
	}
	at := func(want uint32) {
		t.Helper()
		if got := atomic.LoadUint32(mode); got != want {
			t.Fatalf("the mode is %#x, want %#x", got, want)
		}
	}
	for g := uint32(0); g < 40; g += 4 {
		unlocks(7)
		at(g | isBlind)
		ok(t, m.Lock(t.Context()))
		giveUp(t, m, word)
		at(g | isSettled)
		ok(t, m.Unlock())
		unlocks(4)
		ok(t, m.Lock(t.Context()))
		giveUp(t, m, word)
		ok(t, m.Unlock())
		unlocks(4)
		at(g | isSettled)
		unlocks(1)
	}
	at(40 | isBlind)

	// A process whose sleepers have no barrier leaves a mode that no plain store follows, for good.
	futex.SetBarrier(func() bool { return false })
	defer futex.SetBarrier(nil)
	ok(t, m.Lock(t.Context()))
	giveUp(t, m, word)
	ok(t, m.Unlock())
	futex.SetBarrier(nil)
	unlocks(20)
	at(40 | isNever)
	ok(t, m.Lock(t.Context()))
	giveUp(t, m, word)
	got := waiting(func() error { return m.Lock(proctest.Context(t)) })
	ok(t, m.Unlock())
	ok(t, <-got)
	ok(t, m.Unlock())
	at(40 | isNever)
}

// Whoever dies with the mode "announced" leaves it to the next.
// TestModeThatIsNeverTheSame has somebody write the mode without end: who waits still obeys its context, by itself and in a group.
func TestModeThatIsNeverTheSame(t *testing.T) {
	c := &folk{}
	mem := make([]byte, futex.MutexSize)
	held, err := futex.NewMutex(mem, c.one(1))
	ok(t, err)
	ok(t, held.Lock(context.Background()))
	other, err := futex.NewMutex(mem, c.one(2))
	ok(t, err)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for mode := uint32(0); ; mode++ {
			select {
			case <-stop:
				return
			default:
				for range 100 {
					mode++
					atomic.StoreUint32(wordAt(mem, 4), mode)
				}
			}
		}
	}()
	for range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		wantErr(t, other.Lock(ctx), context.DeadlineExceeded)
		cancel()
		g := futex.NewGroup([]*futex.Source{other.Source()})
		if ready := g.Arm(); len(ready) != 0 {
			t.Fatal("a lock that is held is ready")
		}
		g.Close()
	}
	close(stop)
	<-done
	ok(t, held.Unlock())
}

// foreign has a word for its token, and memory of others.
type foreign struct{ *person }

func (foreign) Keeps([]byte) bool { return false }

// TestBlindOnlyWhereItKeepsMemory: of memory that the participant may lose its name for before it is taken away, a late store could free what another holds.
func TestBlindOnlyWhereItKeepsMemory(t *testing.T) {
	c := &folk{}
	one := c.one(1).(*person)
	seg, err := shm.New(&shm.Options{Size: 64})
	ok(t, err)
	defer seg.Close()
	user := seg.Bytes()
	for _, k := range []struct {
		name string
		mem  []byte
		who  futex.Participants
		want bool
	}{
		{"its own", make([]byte, 8), one, true},
		{"another's", make([]byte, 8), foreign{one}, false},
		{"a segment's", user, seg, true},
		{"the end of a segment", user[56:], seg, true},
		{"not the segment's", make([]byte, 8), seg, false},
		{"goroutines'", make([]byte, 8), futex.Local{}, true},
	} {
		m, err := futex.NewMutex(k.mem, k.who)
		ok(t, err)
		if m.Blind() != k.want {
			t.Errorf("%s memory: unlocked by a plain store: %v", k.name, m.Blind())
		}
		ok(t, m.Lock(context.Background()))
		ok(t, m.Unlock())
		wantErr(t, m.Unlock(), futex.ErrNotOwner)
	}
}

func TestAnnouncedByTheDead(t *testing.T) {
	seg := newSegment(t, 64)
	m, word, mode := newMutex(t, seg), wordAt(seg.Bytes(), 0), wordAt(seg.Bytes(), 4)
	atomic.StoreUint32(mode, 8|1)
	ok(t, m.Lock(t.Context()))
	ok(t, m.Unlock())
	if got := atomic.LoadUint32(mode); got != 8|1 {
		t.Fatalf("an unlock made the mode %#x", got)
	}
	ok(t, m.Lock(t.Context()))
	giveUp(t, m, word)
	if got := atomic.LoadUint32(mode); got != 8|isSettled {
		t.Fatalf("a sleeper made the mode %#x", got)
	}
	ok(t, m.Unlock())
}

// The words of a calm segment: 0 the mutex, 8 who are ready, 12 who is inside, 16 what the lock guards, 24 how often the mode was seen to change.
type calmArg struct {
	Seg    *shm.Segment
	Rounds int
	Calm   uint32
}

var calm = spawn.NewTarget("futex.calm", func(ctx context.Context, a calmArg) error {
	futex.SetCalm(a.Calm)
	futex.SetNap(time.Hour)
	return a.enter(ctx)
})

func (a calmArg) enter(ctx context.Context) error {
	mem := a.Seg.Bytes()
	m, err := futex.NewMutex(mem, a.Seg)
	if err != nil {
		return err
	}
	for atomic.AddUint32(wordAt(mem, 8), 1); atomic.LoadUint32(wordAt(mem, 8)) < 2; {
		time.Sleep(100 * time.Microsecond)
	}
	inside, n := wordAt(mem, 12), wordAt(mem, 16)
	for i := range a.Rounds {
		if err := m.Lock(ctx); err != nil {
			return err
		}
		if !atomic.CompareAndSwapUint32(inside, 0, a.Seg.Self()) {
			return fmt.Errorf("two are inside: %#x and %#x", atomic.LoadUint32(inside), a.Seg.Self())
		}
		*n++
		if i%16 == 0 { // so that others come to wait, and most find it free
			time.Sleep(20 * time.Microsecond)
		}
		atomic.StoreUint32(inside, 0)
		if err := m.Unlock(); err != nil {
			return err
		}
	}
	return nil
}

// TestNobodyNeedsSlices has two processes sleep and unlock while the mode changes as often as it can. Slices are of an hour: a wake-up that is lost
// would leave the one asleep, with nobody else to set the waiters bit. What takes place within a few instructions is rarely met here: see
// TestOvertakenAtEveryInstruction.
func TestNobodyNeedsSlices(t *testing.T) {
	rounds := 30000
	if raceEnabled || testing.Short() {
		rounds = 5000
	}
	for _, limit := range []uint32{1, 3} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			seg := newSegment(t, 64)
			mem := seg.Bytes()
			ctx := proctest.Context(t)
			var all []*spawn.Process
			for range 2 {
				p, err := calm.Start(ctx, calmArg{seg, rounds, limit}, nil)
				ok(t, err)
				all = append(all, p)
			}
			var err error
			for _, p := range all {
				err = errors.Join(err, p.Wait(ctx))
			}
			ok(t, err)
			if n := atomic.LoadUint32(wordAt(mem, 16)); n != uint32(2*rounds) {
				t.Errorf("%d rounds were counted, want %d", n, 2*rounds)
			}
			t.Logf("the mode was settled %d times", atomic.LoadUint32(wordAt(mem, 4))>>2)
		})
	}
}
