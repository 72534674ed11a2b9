package shm_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// Objects of all sizes are zeros, apart from each other, and refused once they are freed.
func TestArena(t *testing.T) {
	s := newSegment(t, &shm.Options{Arena: 8 << 20})
	for round := range 3 {
		var refs []shm.Ref
		for size := 0; size < 1<<20; size = size*3/2 + 1 {
			ref, err := s.Alloc(shm.KindUser, size)
			ok(t, err)
			mem, err := s.At(ref, shm.KindUser)
			ok(t, err)
			if len(mem) != size || cap(mem) != size {
				t.Fatalf("%d bytes asked for, %d there", size, len(mem))
			}
			for i := range mem {
				if mem[i] != 0 {
					t.Fatalf("round %d: byte %d of %d is %d", round, i, size, mem[i])
				}
				mem[i] = byte(len(refs) + 1)
			}
			refs = append(refs, ref)
		}
		for i, ref := range refs {
			mem, err := s.At(ref, shm.KindUser)
			ok(t, err)
			for _, b := range mem {
				if b != byte(i+1) {
					t.Fatalf("object %d was written over by object %d", i+1, b)
				}
			}
			_, err = s.At(ref, shm.KindMutex)
			if err == nil {
				t.Error("an object is taken for one of another kind")
			}
			for _, bad := range []shm.Ref{
				{Segment: ref.Segment + 2, Offset: ref.Offset, Size: ref.Size, Generation: ref.Generation, Kind: ref.Kind},
				{Segment: ref.Segment, Offset: ref.Offset + 1, Size: ref.Size, Generation: ref.Generation, Kind: ref.Kind},
				{Segment: ref.Segment, Offset: 1 << 60, Size: ref.Size, Generation: ref.Generation, Kind: ref.Kind},
				{Segment: ref.Segment, Offset: ref.Offset, Size: 1 << 60, Generation: ref.Generation, Kind: ref.Kind},
				{Segment: ref.Segment, Offset: ref.Offset, Size: ref.Size, Generation: ref.Generation + 2, Kind: ref.Kind},
			} {
				if _, err := s.At(bad, shm.KindUser); err == nil {
					t.Errorf("the handle %+v, made up from %+v, is taken", bad, ref)
				}
			}
			ok(t, s.Free(ref))
			if s.Free(ref) == nil {
				t.Error("an object was freed twice")
			}
			if _, err := s.At(ref, shm.KindUser); err == nil {
				t.Error("a freed object was found")
			}
		}
	}
	for {
		if _, err := s.Alloc(shm.KindUser, 1<<20); err != nil {
			wantErr(t, err, shm.ErrNoSpace)
			break
		}
	}
	for _, size := range []int{-1, 8<<20 + 1, 1 << 62} {
		_, err := s.Alloc(shm.KindUser, size)
		wantErr(t, err, shm.ErrNoSpace)
	}
}

type allocArg struct {
	Seg    *shm.Segment
	Rounds int
}

var allocate = spawn.NewTarget("shm.allocate", func(_ context.Context, a allocArg) error {
	tok := uint64(a.Seg.Self())
	for i := range a.Rounds {
		if i%10 == 9 { // one that nobody is told of
			ref, err := a.Seg.Reserve(shm.KindUser, i%3000)
			if err != nil {
				return err
			}
			if i%100 != 99 { // some are left behind, for the heirs
				err = a.Seg.Free(ref)
			} else if i%200 != 199 {
				err = errors.Join(a.Seg.Publish(ref), a.Seg.Free(ref))
			}
			if err != nil {
				return err
			}
		}
		v, err := shm.NewArray[uint64](a.Seg, 1+i%100)
		if err != nil {
			return err
		}
		for k := range v.Len() {
			if x, _ := v.At(k); x != 0 {
				return fmt.Errorf("a new array holds %d", x)
			}
			_ = v.Set(k, tok)
		}
		for k, x := range v.All() {
			if x != tok {
				return fmt.Errorf("element %d, of %d, is %d's", k, tok, x)
			}
		}
		if err := a.Seg.Free(v.Ref()); err != nil {
			return err
		}
	}
	return nil
})

// Processes allocate and free at the same time, one is killed in the middle of it, and none gets what another has.
func TestArenaProcesses(t *testing.T) {
	s := newSegment(t, &shm.Options{Arena: 4 << 20})
	victim, err := allocate.Start(proctest.Context(t), allocArg{s, 1 << 40}, nil)
	ok(t, err)
	var all []*spawn.Process
	for range 3 {
		p, err := allocate.Start(proctest.Context(t), allocArg{s, 3000}, nil)
		ok(t, err)
		all = append(all, p)
	}
	for i, p := range all {
		if err := p.Wait(proctest.Context(t)); err != nil {
			t.Error(err)
		}
		if i == 0 {
			ok(t, victim.Kill())
		}
	}
	ok(t, s.Check())
	var exit *spawn.ExitError
	if err := victim.Wait(proctest.Context(t)); !errors.As(err, &exit) || exit.Code != -9 {
		t.Errorf("the victim ended with %v", err)
	}
}

// An object that was reserved and not published is collected when the process that made it is dead, and not before; one that was published stays.
func TestReserve(t *testing.T) {
	s := newSegment(t, &shm.Options{Arena: 1 << 20})
	other := again(t, s)
	mine, err := other.Reserve(shm.KindUser, 100)
	ok(t, err)
	told, err := other.Reserve(shm.KindUser, 100)
	ok(t, err)
	ok(t, other.Publish(told))
	ok(t, other.Publish(told))
	if n, err := s.Collect(); n != 0 || err != nil {
		t.Errorf("%d blocks of the living were collected, %v", n, err)
	}
	if _, err := s.At(mine, shm.KindUser); err != nil {
		t.Errorf("an object that is not published cannot be used: %v", err)
	}
	ok(t, other.Close())
	if n, err := s.Collect(); n != 1 || err != nil {
		t.Errorf("%d blocks were collected, want 1, %v", n, err)
	}
	if _, err := s.At(mine, shm.KindUser); err == nil || s.Publish(mine) == nil {
		t.Error("an object of the dead can still be used")
	}
	if _, err := s.At(told, shm.KindUser); err != nil {
		t.Errorf("a published object of the dead: %v", err)
	}
	ok(t, s.Free(told))
	ok(t, s.Check())
	// A full arena of the dead's is as good as a free one.
	third := again(t, s)
	n := 0
	for ; ; n++ {
		if _, err := third.Reserve(shm.KindUser, 800); err != nil {
			wantErr(t, err, shm.ErrNoSpace)
			break
		}
	}
	ok(t, third.Close())
	for i := range n {
		if _, err := s.Alloc(shm.KindUser, 800); err != nil {
			t.Fatalf("of %d objects of the dead only %d were had again: %v", n, i, err)
		}
	}
	ok(t, s.Check())
}

// Goroutines and processes allocate, free, die and collect, all at once; in the end every byte is there.
func TestArenaUnderKills(t *testing.T) {
	s := newSegment(t, &shm.Options{Arena: 4 << 20})
	rounds := 15
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		var all []*spawn.Process
		for range 3 {
			p, err := allocate.Start(proctest.Context(t), allocArg{s, 1 << 40}, nil)
			ok(t, err)
			all = append(all, p)
		}
		for _, p := range all {
			n := len(s.Participants())
			for i := range 2000 {
				ref, err := s.Alloc(shm.KindUser, i)
				ok(t, err)
				ok(t, s.Free(ref))
			}
			proctest.Eventually(t, func() bool { return len(s.Participants()) >= min(n, 2) }, "the processes have begun")
			_, err := s.Collect()
			ok(t, err)
			ok(t, p.Kill())
		}
		for _, p := range all {
			_ = p.Wait(proctest.Context(t))
		}
		proctest.Dead(t, s)
		_, err := s.Collect()
		ok(t, err)
		ok(t, s.Check())
		if n, err := s.Collect(); n != 0 || err != nil {
			t.Errorf("a second Collect has found %d blocks, %v", n, err)
		}
	}
}
