//go:build fault && linux

package shm_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// TestCrashArena kills a process at each crash point of the arena. Others allocate on, get nothing twice, and miss at most the
// blocks that it had in hand.
func TestCrashArena(t *testing.T) {
	for _, point := range proctest.Points(t, "arena.") {
		for _, pass := range []int{1, 2, 150} {
			s := newSegment(t, &shm.Options{Arena: 1 << 20})
			p, err := allocate.Start(proctest.Context(t), allocArg{s, 1000}, &spawn.Options{
				Env: []string{fmt.Sprintf("MULTIPROC_FAULT=kill:%s:%d", point, pass)},
			})
			ok(t, err)
			heir, err := allocate.Start(proctest.Context(t), allocArg{s, 500}, nil)
			ok(t, err)
			var exit *spawn.ExitError
			if err := p.Wait(proctest.Context(t)); !errors.As(err, &exit) || exit.Code != -9 {
				t.Errorf("no process was killed at pass %d of %s: %v", pass, point, err)
			}
			ok(t, heir.Wait(proctest.Context(t)))
			held := map[uint64]bool{}
			n := 0
			for ; ; n++ {
				ref, err := s.Alloc(shm.KindUser, 800)
				if err != nil {
					wantErr(t, err, shm.ErrNoSpace)
					break
				}
				if held[ref.Offset] {
					t.Fatalf("after a death at %s the block at %#x was given out twice", point, ref.Offset)
				}
				held[ref.Offset] = true
			}
			if n < 1000 { // of 1024: the processes used some blocks of each smaller class, and two hands full are lost
				t.Errorf("after a death at %s only %d objects of 1 KiB could be had", point, n)
			}
		}
	}
}
