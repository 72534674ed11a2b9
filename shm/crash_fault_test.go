//go:build fault && linux

package shm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// TestCrashArena kills and stops a process at each crash point of the arena. Others allocate on, get nothing twice, and what the dead one had in hand is collected.
func TestCrashArena(t *testing.T) {
	for _, point := range proctest.Points(t, "arena.") {
		if point == "arena.collecting" {
			continue // TestCrashCollect
		}
		for _, c := range []struct {
			action string
			pass   int
		}{{"kill", 1}, {"kill", 2}, {"kill", 4}, {"stop", 3}} {
			action := c.action
			s := newSegment(t, &shm.Options{Arena: 1 << 20})
			p, err := allocate.Start(proctest.Context(t), allocArg{s, 1000}, &spawn.Options{
				Env: []string{fmt.Sprintf("MULTIPROC_FAULT=%s:%s:%d", action, point, c.pass)},
			})
			ok(t, err)
			if action == "stop" {
				proctest.Eventually(t, func() bool { return proctest.Stopped(t, p.PID()) }, "a process stops at "+point)
			}
			heir, err := allocate.Start(proctest.Context(t), allocArg{s, 500}, nil)
			ok(t, err)
			if action == "kill" {
				var exit *spawn.ExitError
				if err := p.Wait(proctest.Context(t)); !errors.As(err, &exit) || exit.Code != -9 {
					t.Errorf("no process was killed at pass %d of %s: %v", c.pass, point, err)
				}
			}
			ok(t, heir.Wait(proctest.Context(t)))
			if action == "stop" {
				ok(t, p.Kill())
				_ = p.Wait(proctest.Context(t))
			}
			proctest.Dead(t, s)
			ok(t, s.Check())
			_, err = s.Collect()
			ok(t, err)
			if n, err := s.Collect(); n != 0 || err != nil {
				t.Errorf("after a death at %s a second Collect has found %d blocks, %v", point, n, err)
			}
			ok(t, s.Check())
			// Every block that was ever made is free, or an object: the rest of the arena is had too, to the last byte.
			held := map[uint64]bool{}
			total := 0
			for size := 1 << 15; ; {
				ref, err := s.Alloc(shm.KindUser, size)
				if err != nil {
					wantErr(t, err, shm.ErrNoSpace)
					if size = size / 2; size == 0 {
						break
					}
					continue
				}
				if held[ref.Offset] {
					t.Fatalf("after a death at %s the block at %#x was given out twice", point, ref.Offset)
				}
				held[ref.Offset] = true
				total += blockLength(size)
			}
			if total != 1<<20 {
				t.Errorf("after a death at %s only %d bytes of %d can be had", point, total, 1<<20)
			}
			ok(t, s.Check())
		}
	}
}

// blockLength returns the bytes that an object of so many takes.
func blockLength(size int) int {
	head := 128
	if size+32 <= 128 {
		head = 32
	}
	n := 64
	for n < size+head {
		n *= 2
	}
	return n
}

// collector collects what others have left.
var collector = spawn.NewTarget("shm.collector", func(_ context.Context, s *shm.Segment) error {
	_, err := s.Collect()
	return err
})

// TestCrashCollect kills who collects: the next one has all of it.
func TestCrashCollect(t *testing.T) {
	for _, point := range []string{"arena.collecting", "arena.cleared", "arena.pushed", "arena.freed"} {
		s := newSegment(t, &shm.Options{Arena: 1 << 20})
		dead := again(t, s)
		for i := range 10 {
			_, err := dead.Reserve(shm.KindUser, 100*i)
			ok(t, err)
		}
		ok(t, dead.Close())
		p, err := collector.Start(proctest.Context(t), s, &spawn.Options{Env: []string{"MULTIPROC_FAULT=kill:" + point + ":3"}})
		ok(t, err)
		var exit *spawn.ExitError
		if err := p.Wait(proctest.Context(t)); !errors.As(err, &exit) || exit.Code != -9 {
			t.Errorf("nobody was killed at %s: %v", point, err)
		}
		proctest.Dead(t, s)
		ok(t, s.Check())
		want := 8 // two were done with
		if point == "arena.freed" || point == "arena.pushed" {
			want = 7
		}
		if n, err := s.Collect(); n != want && n != want+1 || err != nil {
			t.Errorf("after a death at %s %d blocks were left, want %d, %v", point, n, want, err)
		}
		if n, err := s.Collect(); n != 0 || err != nil {
			t.Errorf("after a death at %s %d blocks were left at last, %v", point, n, err)
		}
		ok(t, s.Check())
	}
}

// TestCrashName kills and stops a process at each crash point of a name. The dead leave a name that the next can have; who stands still keeps the name
// if he has the segment open, and else hangs nobody.
func TestCrashName(t *testing.T) {
	for _, point := range proctest.Points(t, "name.") {
		leaving := slices.Contains([]string{"name.left", "name.burying", "name.buried"}, point)
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			name := proctest.SegmentName(t)
			k := keep(t, name, "MULTIPROC_FAULT=kill:"+point+":1")
			ok(t, k.stdin.Close())
			if err := k.cmd.Wait(); err == nil {
				t.Errorf("no process passed %s", point)
			}
			use(t, name)

			k = keep(t, name, "MULTIPROC_FAULT=stop:"+point+":1")
			if leaving {
				k.id(t)
				ok(t, k.stdin.Close())
			}
			proctest.Eventually(t, func() bool { return proctest.Stopped(t, k.cmd.Process.Pid) }, "a process stops at "+point)
			s, err := shm.OpenOrCreate(name, &shm.Options{Size: 64, Participants: 16})
			switch {
			case point == "name.burying":
				wantErr(t, err, os.ErrExist)
			default:
				ok(t, err)
				ok(t, s.Close())
			}
			k.kill()
			use(t, name)
		})
	}
}

// use opens or makes the segment and closes it; then nothing is left.
func use(t *testing.T, name string) {
	t.Helper()
	s, err := shm.OpenOrCreate(name, &shm.Options{Size: 64, Participants: 16})
	ok(t, err)
	again, err := shm.Open(name)
	ok(t, err)
	ok(t, errors.Join(again.Close(), s.Close()))
	if exists("/dev/shm/multiproc-" + name) {
		t.Error("the name is there at the end")
	}
}

// TestCrashCell kills and stops a writer at each crash point of a Blob: readers read on, what was stored is whole, and the next writer
// takes over from the dead.
func TestCrashCell(t *testing.T) {
	for _, point := range proctest.Points(t, "cell.") {
		for _, action := range []string{"kill", "stop"} {
			s := newSegment(t, nil)
			b, err := shm.NewBlob(s, 100)
			ok(t, err)
			ok(t, b.Store(proctest.Context(t), make([]byte, 1))) // scribble's tenth is one of 10
			if v, err := b.Load(); len(v) != 1 || err != nil {
				t.Fatal(v, err)
			}
			p, err := scribble.Start(proctest.Context(t), scribbleArg{b, -1}, &spawn.Options{Env: []string{"MULTIPROC_FAULT=" + action + ":" + point + ":10"}})
			ok(t, err)
			if action == "stop" {
				proctest.Eventually(t, func() bool { return proctest.Stopped(t, p.PID()) }, "a writer stops at "+point)
			} else {
				_ = p.Wait(proctest.Context(t))
			}
			want := 9 * 31 % 101
			if point != "cell.stored" {
				want = 8 * 31 % 101
			}
			v, err := b.Load()
			ok(t, err)
			ok(t, whole(v))
			if len(v) != want {
				t.Errorf("%s at %s: the value has %d bytes, want %d", action, point, len(v), want)
			}
			if action == "stop" {
				ok(t, p.Kill())
				_ = p.Wait(proctest.Context(t))
			}
			ok(t, b.Store(proctest.Context(t), []byte{1}))
			if v, err := b.Load(); len(v) != 1 || err != nil {
				t.Errorf("after a death at %s: %v, %v", point, v, err)
			}
		}
	}
}
