package ringbuf_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// The memory of a ring belongs to everybody who shares it. These tests write over it between and during calls: whatever stands
// there, no call panics, hangs, or touches a byte beside the memory.

// A script is a source of decisions: the input of the fuzzer, or noise.
type script []byte

func (s *script) byte() byte {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return b
}

func (s *script) word() (w uint64) {
	for range 8 {
		w = w<<8 | uint64(s.byte())
	}
	return w
}

// value makes a word to write where old stands: close to what belongs there, or far off.
func (s *script) value(old uint64) uint64 {
	switch s.byte() % 10 {
	case 0:
		return s.word()
	case 1:
		return uint64(s.byte())
	case 2:
		return old + uint64(s.byte())*8
	case 3:
		return old - uint64(s.byte())*8
	case 4:
		return ^uint64(0)
	case 5:
		return 0
	case 6:
		return old ^ 1<<(s.byte()%64)
	case 7:
		return uint64(s.byte()) << 56
	case 8:
		return -uint64(s.byte())
	}
	return 0x44534C43<<32 | uint64(s.byte()) // closes a side where it hits a state
}

// scribble overwrites one word of mem, preferably one of at.
func (s *script) scribble(mem []byte, at []int) {
	i := int(s.byte())
	off := (i*256 + int(s.byte())) * 8 % len(mem) &^ 7
	if i < 200 && len(at) > 0 {
		off = at[i%len(at)]
	}
	old := binary.NativeEndian.Uint64(mem[off:])
	binary.NativeEndian.PutUint64(mem[off:], s.value(old))
}

// allowed fails the test for an error that has no place on hostile memory.
func allowed(t testing.TB, err error) {
	t.Helper()
	if !isAllowed(err) {
		t.Fatalf("on hostile memory: %v", err)
	}
}

func isAllowed(err error) bool {
	hostileReturns.Add(1)
	if err == nil {
		return true
	}
	for _, want := range []error{
		ringbuf.ErrFull, ringbuf.ErrEmpty, ringbuf.ErrClosed, ringbuf.ErrPeerDied, ringbuf.ErrRoleTaken, ringbuf.ErrTooLarge, ringbuf.ErrForeign,
		ringbuf.ErrCorrupt, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}

// hostileReturns counts the calls on hostile memory that have returned.
var hostileReturns atomic.Uint64

// watch ends the test binary, with all stacks, if no call returns any more. It counts its own ticks and not the time: a machine that stands still
// makes one of them, and how long a test takes as long as it gets on is its own affair.
func watch(t testing.TB, what string) {
	const (
		tick  = 100 * time.Millisecond
		limit = 600 // of them
	)
	ticker, stop, ended := time.NewTicker(tick), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for seen, still := hostileReturns.Load(), 0; ; {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			if n := hostileReturns.Load(); n != seen {
				seen, still = n, 0
			} else if still++; still == limit {
				debug.SetTraceback("all")
				panic(what + " hangs")
			}
		}
	}()
	t.Cleanup(func() {
		ticker.Stop()
		close(stop)
		<-ended
	})
}

func touch(b []byte) (sum byte) {
	for _, x := range b {
		sum += x
	}
	return sum
}

// runSPSC carries out a script on a ring of 128 bytes whose memory the script also damages.
func runSPSC(t testing.TB, mem []byte, s script) {
	words := []int{ringbuf.OffTail, ringbuf.OffTail + 8, ringbuf.OffHead, ringbuf.OffHead + 8, ringbuf.OffData, ringbuf.OffRoom, ringbuf.OffCapacity,
		ringbuf.OffExpress, ringbuf.OffExpress + 128}
	for i := ringbuf.SPSCHeader; i < len(mem); i += 8 { // where lengths may stand
		words = append(words, i)
	}
	r, err := ringbuf.CreateSPSC(mem, nil)
	ok(t, err)
	index := s.value(0) &^ 7
	ringbuf.SetIndices(r, index, index)
	p, err := r.Producer()
	ok(t, err)
	c, err := r.Consumer()
	ok(t, err)
	gone := ended()
	reserved := 0
	batch := func(n int) (all [][]byte) {
		for range n % 5 {
			all = append(all, noise[:s.byte()%140])
		}
		return all
	}
	for len(s) > 0 {
		var err error
		switch op := s.byte(); op % 20 {
		case 0, 1:
			err = p.TryPut(noise[:op/2])
		case 2, 3:
			var msg []byte
			msg, err = c.TryGet(nil)
			touch(msg)
		case 4:
			var buf []byte
			if buf, err = p.TryReserve(int(op)); err == nil {
				reserved = len(buf)
				clear(buf)
			}
		case 5:
			if reserved > 0 {
				_ = p.Commit(int(op) % reserved) // refused when the reservation was dropped meanwhile
			}
		case 6:
			var msg []byte
			msg, err = c.TryPeek()
			touch(msg)
		case 7:
			err = c.Release()
		case 8:
			_, err = p.PutBatch(gone, batch(int(op)))
		case 9:
			_, err = c.GetBatch(gone, 1+int(op)%4, func(msg []byte) error { touch(msg); return nil })
		case 10:
			err = p.Put(gone, noise[:op/2])
		case 11:
			_, err = c.Get(gone, nil)
		case 12:
			for msg, e := range c.All(gone) {
				touch(msg)
				err = e
			}
		case 13:
			if r.Len() < 0 || r.Len() > 128 {
				t.Fatalf("Len is %d in a ring of 128 bytes", r.Len())
			}
			if r, err := ringbuf.OpenSPSC(mem, nil); err == nil {
				if p2, err := r.Producer(); err == nil {
					p, reserved = p2, 0
				} else {
					allowed(t, err)
				}
				if c2, err := r.Consumer(); err == nil {
					c = c2
				} else {
					allowed(t, err)
				}
			} else {
				allowed(t, err)
			}
		case 14:
			if op > 200 {
				err = errors.Join(p.Close(), c.Close())
			}
		default:
			s.scribble(mem, words)
		}
		allowed(t, err)
	}
}

// runMPMC carries out a script on a small queue whose memory the script also damages. A lock that says that this very process
// holds it is held for ever, so only calls with a context are made.
func runMPMC(t testing.TB, mem []byte, s script) {
	q, err := ringbuf.CreateMPMC(mem, &smallQueue)
	ok(t, err)
	for len(s) > 0 {
		ctx := ended()
		op := s.byte()
		if op > 250 { // long enough to take a lock from the dead
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(context.Background(), 3*time.Millisecond)
			defer cancel()
		}
		switch op % 10 {
		case 0, 1:
			err = q.Put(ctx, noise[:op/2])
		case 2, 3:
			var msg []byte
			msg, err = q.Get(ctx, nil)
			touch(msg)
		case 4:
			_, err = q.PutBatch(ctx, [][]byte{noise[:op/2], noise[:op/8], nil})
		case 5:
			var msgs [][]byte
			msgs, err = q.GetBatch(ctx, 1+int(op)%4)
			for _, msg := range msgs {
				touch(msg)
			}
		case 6:
			var n int
			n, err = q.Len()
			if n < 0 || n > len(mem) {
				t.Fatalf("Len is %d in %d bytes", n, len(mem))
			}
			q.Closed()
			if q2, err := ringbuf.OpenMPMC(mem, nil); err == nil {
				q = q2
			} else {
				allowed(t, err)
			}
		default:
			s.scribble(mem, nil)
		}
		allowed(t, err)
	}
}

func hostileSizes() (spsc, mpmc int) { return ringbuf.SPSCSize(128), kinds[1].size(0) }

// FuzzHostile lets the fuzzer choose the calls on an SPSC ring, and the words that are written over between them.
//
// Red when a length is not checked (a fault, or a slice out of range), or checked after it is read a second time.
func FuzzHostile(f *testing.F) {
	rnd := rand.New(rand.NewPCG(4, 4))
	for range 20 {
		b := make([]byte, 300)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		f.Add(b)
	}
	size, _ := hostileSizes()
	f.Fuzz(func(t *testing.T, b []byte) {
		watch(t, "FuzzHostile")
		runSPSC(t, guarded(t, size), b[:min(len(b), 1<<12)])
	})
}

// FuzzHostileMPMC does the same to an MPMC queue.
func FuzzHostileMPMC(f *testing.F) {
	rnd := rand.New(rand.NewPCG(5, 5))
	for range 20 {
		b := make([]byte, 200)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		f.Add(b)
	}
	_, size := hostileSizes()
	f.Fuzz(func(t *testing.T, b []byte) {
		watch(t, "FuzzHostileMPMC")
		runMPMC(t, guarded(t, size), b[:min(len(b), 1<<10)])
	})
}

// TestHostileScripts runs random scripts.
func TestHostileScripts(t *testing.T) {
	watch(t, "a hostile script")
	spsc, mpmc := hostileSizes()
	mem, memQ := guarded(t, spsc), guarded(t, mpmc)
	rnd := rand.New(rand.NewPCG(6, 6))
	b := make([]byte, 400)
	for i := range scale(1500) {
		for j := range b {
			b[j] = byte(rnd.Uint32())
		}
		clear(mem)
		runSPSC(t, mem, b)
		if i%10 == 0 {
			clear(memQ)
			runMPMC(t, memQ, b)
		}
	}
}

// TestHeadGoesBack has a consumer take back the room that it gave: what is put there would go over what comes behind the ring.
func TestHeadGoesBack(t *testing.T) {
	for _, n := range []int{40, 120, 121, 1000} {
		for _, back := range []uint64{1 << 16, 1<<16 - 8, 4096, 8} {
			mem := guarded(t, ringbuf.SPSCSize(1<<16))
			_, p, _ := sides(t, mem, nil, 0)
			binary.NativeEndian.PutUint64(mem[ringbuf.OffHead:], -back)
			err := error(nil)
			for range 2 << 16 / n {
				if err = p.TryPut(noise[:n]); err != nil {
					break
				}
			}
			wantErr(t, err, ringbuf.ErrCorrupt)
		}
	}
}

// TestHostileNeighbour writes random words over a ring while both sides work on it, each pair of sides for some thousands of words.
// The race detector does not watch this memory, as it does not watch another process.
func TestHostileNeighbour(t *testing.T) {
	if raceEnabled && !unwatched {
		t.Skip("the race detector watches the memory")
	}
	watch(t, "a side with a hostile neighbour")
	mem := guarded(t, ringbuf.SPSCSize(512))
	words := []int{ringbuf.OffTail, ringbuf.OffHead, ringbuf.OffData, ringbuf.OffRoom, ringbuf.OffExpress, ringbuf.OffExpress + 128}
	for round := range scale(60) {
		clear(mem)
		_, p, c := sides(t, mem, nil, 0)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 2)
		work := func(do func(i int) error) {
			for i := 0; ctx.Err() == nil; i++ {
				if err := do(i); !isAllowed(err) {
					done <- err
					return
				}
			}
			done <- nil
		}
		go work(func(i int) error {
			switch i % 8 {
			case 0:
				_, err := p.PutBatch(ctx, [][]byte{noise[:i%300], noise[:i%50]})
				return err
			case 1:
				buf, err := p.Reserve(ctx, i%200)
				if err == nil {
					clear(buf)
					err = p.Commit(len(buf) / 2)
				}
				return err
			case 2:
				return p.TryPut(noise[:i%300])
			}
			return p.Put(ctx, noise[:i%200])
		})
		go work(func(i int) error {
			switch i % 8 {
			case 0:
				_, err := c.GetBatch(ctx, 3, func(msg []byte) error { touch(msg); return nil })
				return err
			case 1:
				msg, err := c.Peek(ctx)
				touch(msg)
				if err == nil {
					err = c.Release()
				}
				return err
			case 2:
				_, err := c.TryGet(nil)
				return err
			}
			_, err := c.Get(ctx, nil)
			return err
		})
		scribbleOver(mem, words, uint64(round), 2000)
		cancel()
		ok(t, errors.Join(<-done, <-done))
	}
}

// TestHostileNeighbourMPMC does the same to a queue, with two producers and two consumers, each with a handle of its own as
// processes have.
func TestHostileNeighbourMPMC(t *testing.T) {
	if raceEnabled && !unwatched {
		t.Skip("the race detector watches the memory")
	}
	watch(t, "a call on a queue with a hostile neighbour")
	mem := guarded(t, kinds[1].size(0))
	for round := range 20 {
		clear(mem)
		_, err := ringbuf.CreateMPMC(mem, &smallQueue)
		ok(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 4)
		work := func(do func(q *ringbuf.MPMC, i int) error) {
			q, err := ringbuf.OpenMPMC(mem, nil)
			ok(t, err)
			go func() {
				for i := 0; ctx.Err() == nil; i++ {
					_ = do(q, i) // another's lock may come and go under a call: any error will do
					hostileReturns.Add(1)
				}
				done <- nil
			}()
		}
		for range 2 {
			work(func(q *ringbuf.MPMC, i int) error {
				if i%8 == 0 {
					_, err := q.PutBatch(ctx, [][]byte{noise[:i%300], noise[:i%50]})
					return err
				}
				return q.Put(ctx, noise[:i%100])
			})
			work(func(q *ringbuf.MPMC, i int) error {
				if i%8 == 0 {
					_, err := q.GetBatch(ctx, 3)
					return err
				}
				_, err := q.Get(ctx, nil)
				return err
			})
		}
		scribbleOver(mem, nil, uint64(round), 2000)
		cancel()
		for range 4 {
			<-done
		}
	}
}

// scribbleOver writes n words over mem, half of them where at says.
func scribbleOver(mem []byte, at []int, seed uint64, n int) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	b := make(script, 32)
	for range n {
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		s := b
		s.scribble(mem, at)
		for range rnd.IntN(200) {
			touch(b)
		}
	}
}
