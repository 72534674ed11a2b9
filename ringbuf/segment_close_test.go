package ringbuf_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"reflect"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

// TestEveryMethodAfterClose calls every exported method of every type on an object whose segment was closed under it: those that
// return an error return one that matches os.ErrClosed, and none faults. A new method is tested without a change here.
func TestEveryMethodAfterClose(t *testing.T) {
	spsc := func(t *testing.T, seg *shm.Segment) (*ringbuf.SPSC, *ringbuf.Producer, *ringbuf.Consumer) {
		return sides(t, seg.Bytes(), in(seg), 0)
	}
	objects := map[string]func(t *testing.T, seg *shm.Segment) any{
		"SPSC": func(t *testing.T, seg *shm.Segment) any {
			r, err := ringbuf.CreateSPSC(seg.Bytes(), in(seg))
			ok(t, err)
			return r
		},
		"Producer": func(t *testing.T, seg *shm.Segment) any { _, p, _ := spsc(t, seg); return p },
		"Producer after puts": func(t *testing.T, seg *shm.Segment) any {
			_, p, _ := spsc(t, seg)
			ok(t, p.TryPut([]byte("one")))
			ok(t, p.TryPut([]byte("two")))
			return p
		},
		"Producer with a reservation": func(t *testing.T, seg *shm.Segment) any {
			_, p, _ := spsc(t, seg)
			_, err := p.TryReserve(10)
			ok(t, err)
			return p
		},
		"Consumer": func(t *testing.T, seg *shm.Segment) any { _, _, c := spsc(t, seg); return c },
		"Consumer with messages": func(t *testing.T, seg *shm.Segment) any {
			_, p, c := spsc(t, seg)
			for range 3 {
				ok(t, p.TryPut([]byte("msg")))
			}
			_, err := c.TryGet(nil)
			ok(t, err)
			return c
		},
		"Consumer that peeks": func(t *testing.T, seg *shm.Segment) any {
			_, p, c := spsc(t, seg)
			ok(t, p.TryPut([]byte("msg")))
			_, err := c.TryPeek()
			ok(t, err)
			return c
		},
		"MPMC": func(t *testing.T, seg *shm.Segment) any {
			q, err := ringbuf.CreateMPMC(seg.Bytes(), &ringbuf.MPMCOptions{Participants: seg, Capacity: 10, Spares: 10, Members: 16})
			ok(t, err)
			return q
		},
		"MPMC with messages": func(t *testing.T, seg *shm.Segment) any {
			q, err := ringbuf.CreateMPMC(seg.Bytes(), &ringbuf.MPMCOptions{Participants: seg, Capacity: 10, Spares: 10, Members: 16})
			ok(t, err)
			ok(t, q.TryPut([]byte("msg")))
			return q
		},
	}
	for name, make := range objects {
		t.Run(name, func(t *testing.T) {
			for i := range reflect.TypeOf(make(t, newSegment(t, 1<<14))).NumMethod() {
				seg := newSegment(t, 1<<14)
				v := reflect.ValueOf(make(t, seg))
				m := v.Type().Method(i)
				ok(t, seg.Close())
				args := []reflect.Value{}
				for j := 1; j < m.Type.NumIn(); j++ {
					args = append(args, argument(t, m.Type.In(j)))
				}
				out := v.Method(i).Call(args)
				if len(out) == 0 {
					continue
				}
				last := out[len(out)-1]
				if seq, isSeq := last.Interface().(iter.Seq2[[]byte, error]); isSeq {
					for msg, err := range seq {
						t.Errorf("%s of a closed segment yields %v, %v", m.Name, msg, err)
					}
				}
				if last.Type() != reflect.TypeFor[error]() {
					continue
				}
				if err, _ := last.Interface().(error); !errors.Is(err, os.ErrClosed) {
					if m.Name == "Commit" && name != "Producer with a reservation" {
						continue // there is nothing to commit
					}
					t.Errorf("%s returned %v, want an error that matches os.ErrClosed", m.Name, err)
				}
			}
		})
	}
}

func argument(t *testing.T, of reflect.Type) reflect.Value {
	t.Helper()
	for _, v := range []any{[]byte("new"), [][]byte{[]byte("new")}, 1, func([]byte) error { return nil }} {
		if reflect.TypeOf(v) == of {
			return reflect.ValueOf(v)
		}
	}
	if of == reflect.TypeFor[context.Context]() {
		return reflect.ValueOf(proctest.Context(t))
	}
	t.Fatalf("this test has no argument of type %v", of)
	return reflect.Value{}
}

// TestOpenAfterClose makes and opens rings in a closed segment.
func TestOpenAfterClose(t *testing.T) {
	seg := newSegment(t, 1<<14)
	mem := seg.Bytes()
	r, err := ringbuf.CreateSPSC(mem, in(seg))
	ok(t, err)
	ok(t, seg.Close())
	if seg.Bytes() != nil {
		t.Fatal("a closed segment still hands out its bytes")
	}
	_, err = r.Producer()
	wantErr(t, err, os.ErrClosed)
	_, err = r.Consumer()
	wantErr(t, err, os.ErrClosed)
	_, err = ringbuf.OpenSPSC(mem, in(seg))
	wantErr(t, err, ringbuf.ErrForeign) // nothing is left there
	_, err = ringbuf.OpenMPMC(mem, manyIn(seg))
	wantErr(t, err, ringbuf.ErrForeign)
}

// TestSegmentClosesUnderCalls closes the segment while each blocking call waits, and while both sides are at full speed.
func TestSegmentClosesUnderCalls(t *testing.T) {
	for _, tc := range blockingCalls {
		t.Run(tc.name, func(t *testing.T) {
			seg := newSegment(t, ringbuf.SPSCSize(64))
			r, p, c := sides(t, seg.Bytes(), in(seg), 0)
			word := ringbuf.DataWord(r)
			if tc.room {
				ok(t, p.TryPut(make([]byte, 56)))
				word = ringbuf.RoomWord(r)
			}
			ctx := proctest.Context(t)
			done := make(chan error, 1)
			go func() { done <- tc.call(ctx, p, c) }()
			asleep(t, word)
			ok(t, seg.Close())
			err := <-done
			if tc.name == "All" && err == nil { // it ends without a word
				return
			}
			wantErr(t, err, os.ErrClosed)
		})
	}
	for range 20 {
		seg := newSegment(t, 1<<12)
		_, p, c := sides(t, seg.Bytes(), in(seg), 0)
		ctx := proctest.Context(t)
		var wg sync.WaitGroup
		begun := make(chan bool, 2)
		run := func(do func() error) {
			wg.Go(func() {
				for i := 0; ; i++ {
					if err := do(); err != nil {
						if !errors.Is(err, os.ErrClosed) {
							t.Errorf("while the segment is closed: %v", err)
						}
						return
					}
					if i == 100 {
						begun <- true
					}
				}
			})
		}
		run(func() error { return p.Put(ctx, content(1, 40)) })
		buf := make([]byte, 0, 64)
		run(func() error { _, err := c.Get(ctx, buf); return err })
		<-begun
		<-begun
		ok(t, seg.Close())
		wg.Wait()
	}
}
