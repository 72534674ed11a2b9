package futex_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
)

// TestLocksAfterClose: every call on memory that is closed, or that is closed while it waits, returns ErrClosed.
func TestLocksAfterClose(t *testing.T) {
	for name, c := range lockCases {
		t.Run(name, func(t *testing.T) {
			var all folk
			mem := make([]byte, c.size)
			who := all.one(7)
			if c.create != nil {
				ok(t, c.create(mem, who))
			}
			calls := must(c.calls(mem, who))(t)
			all.leave(7)
			for i, call := range calls {
				if err := call(t.Context()); !errors.Is(err, os.ErrClosed) {
					t.Errorf("call %d returned %v", i, err)
				}
			}
		})
	}
}

// TestLocksInGarbage: whatever stands in the memory, no call panics, and none outlasts its context.
func TestLocksInGarbage(t *testing.T) {
	for name, c := range lockCases {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for round := range 60 {
				var all folk
				mem := make([]byte, c.size)
				who := all.one(7)
				if c.create != nil {
					ok(t, c.create(mem, who))
				}
				calls, err := c.calls(mem, who)
				ok(t, err)
				from := 0
				if round%2 == 1 {
					from = 40
				}
				for i := from; i < len(mem); i++ {
					switch round % 3 {
					case 0:
						mem[i] = byte(r.Uint32())
					case 1:
						mem[i] = 0xFF
					default:
						if r.IntN(8) == 0 {
							mem[i] ^= 1 << r.IntN(8)
						}
					}
				}
				for _, call := range calls {
					ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
					done := waiting(func() error { return call(ctx) })
					if name == "cond" { // it waits for its lock as long as it takes: take the lock away from whoever has it
						eventually(t, "the call returns", func() bool {
							if len(done) > 0 {
								return true
							}
							if ctx.Err() != nil {
								clear(mem[:4])
							}
							return false
						})
					}
					_ = result(t, done)
					cancel()
				}
				_, _ = c.calls(mem, who) // an error or not
			}
		})
	}
}

// TestLocksInBadMemory: memory that is too short, not aligned, or of another kind is refused.
func TestLocksInBadMemory(t *testing.T) {
	for name, c := range lockCases {
		if c.create == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			mem := make([]byte, c.size+8)
			who := futex.Local{}
			if err := c.create(mem[:c.size-8], who); err == nil {
				t.Error("it was made in memory that is too short")
			}
			if err := c.create(mem[1:], who); err == nil {
				t.Error("it was made in memory that is not aligned")
			}
			if _, err := c.calls(mem, who); err == nil {
				t.Error("it was opened in zeros")
			}
			ok(t, c.create(mem, who))
			if _, err := c.calls(mem[:c.size-8], who); err == nil {
				t.Error("it was opened in a part of its memory")
			}
			for other, o := range lockCases {
				if other == name || o.create == nil || other == "cond" || name == "cond" {
					continue
				}
				if _, err := o.calls(bytes.Clone(append(mem, make([]byte, 4096)...)), who); err == nil {
					t.Errorf("it was opened as a %s", other)
				}
			}
		})
	}
	for _, size := range []func(int) int{futex.SemaphoreSize, futex.RWMutexSize, futex.CondSize, futex.BarrierSize} {
		for _, n := range []int{-1 << 60, -1, 0, 1<<30 + 1} {
			if size(n) != 0 {
				t.Errorf("there is a size for %d", n)
			}
		}
	}
	if _, err := futex.CreateSemaphore(make([]byte, 4096), -1, 4, futex.Local{}); err == nil {
		t.Error("a semaphore with -1 permits was made")
	}
	if _, err := futex.CreateSemaphore(make([]byte, 4096), 5, 4, futex.Local{}); err == nil {
		t.Error("a semaphore with more permits than it can have was made")
	}
	if _, err := futex.CreateBarrier(make([]byte, 4096), 0, futex.Local{}); err == nil {
		t.Error("a barrier of nobody was made")
	}
	if _, err := futex.CreateCond(make([]byte, 4096), 4, nil, futex.Local{}); err == nil {
		t.Error("a condition without a lock was made")
	}
	if _, err := futex.NewEvent(make([]byte, 8), nil); err == nil {
		t.Error("an event of nobody was made")
	}
}
