package shm_test

import (
	"errors"
	"os"
	"testing"

	"github.com/fb2d3dbd/multiproc/shm"
)

// After Close every method says so, whatever is asked of it, and none faults.
func TestMethodsAfterClose(t *testing.T) {
	s, err := shm.New(&shm.Options{Size: 128, Arena: 64 << 10})
	ok(t, err)
	id, tok := s.ID(), s.Self()
	v, err := shm.NewValue(s, int64(7))
	ok(t, err)
	u, err := shm.ValueAt[uint32](s, 8)
	ok(t, err)
	a, err := shm.NewArray[int32](s, 5)
	ok(t, err)
	ref, err := s.Alloc(shm.KindUser, 100)
	ok(t, err)
	ok(t, s.Close())
	ok(t, s.Close())

	_, e1 := s.MarshalBinary()
	_, e2 := s.Export()
	_, e3 := s.Alloc(shm.KindUser, 1)
	_, e4 := s.Alloc(shm.KindUser, 1<<40)
	_, e5 := s.At(ref, shm.KindUser)
	_, e6 := v.Load()
	_, e7 := a.At(1)
	_, e8 := a.CopyTo(make([]int32, 3), 0)
	_, e9 := shm.Add(v, 1)
	_, e10 := shm.Swap(v, 1)
	_, e11 := shm.CompareAndSwap(v, 0, 1)
	_, e12 := shm.AddAt(a, 0, 1)
	_, e13 := shm.CompareAndSwapAt(a, 0, 0, 1)
	_, e14 := v.MarshalBinary()
	_, e15 := a.MarshalBinary()
	_, e16 := u.Load()
	_, e17 := shm.NewValue(s, 1)
	_, e18 := shm.NewArray[int](s, 1)
	_, e19 := shm.OpenValue[int64](s, v.Ref())
	_, e20 := shm.OpenArray[int32](s, a.Ref())
	for name, err := range map[string]error{
		"Segment.MarshalBinary": e1, "Export": e2, "Alloc": e3, "Alloc of too much": e4, "At": e5, "Load": e6, "Array.At": e7, "CopyTo": e8,
		"Add": e9, "Swap": e10, "CompareAndSwap": e11, "AddAt": e12, "CompareAndSwapAt": e13, "Value.MarshalBinary": e14,
		"Array.MarshalBinary": e15, "Load of the user's bytes": e16, "NewValue": e17, "NewArray": e18, "OpenValue": e19, "OpenArray": e20,
		"Free": s.Free(ref), "Store": v.Store(1), "Set": a.Set(0, 1), "CopyFrom": a.CopyFrom(0, []int32{1}), "Store in the user's bytes": u.Store(1),
	} {
		if !errors.Is(err, os.ErrClosed) || !errors.Is(err, shm.ErrClosed) {
			t.Errorf("%s after Close returned %v", name, err)
		}
	}
	if s.Bytes() != nil || a.Elems() != nil || s.Self() != 0 || s.Participants() != nil {
		t.Error("a closed segment still has memory or participants")
	}
	for range a.All() {
		t.Error("All yields elements of a closed segment")
	}
	if _, held := s.Participant(tok); held {
		t.Error("a closed segment knows a participant")
	}
	if !s.Alive(tok) {
		t.Error("a closed segment has proof of a death")
	}
	if s.ID() != id || s.Name() != "" || s.Size() != 128 || a.Len() != 5 || s.Segment() != s || v.Segment() != s || a.Segment() != s {
		t.Error("what a segment is called and how large it was has changed")
	}
	s.Watch(tok, func() {})()
	if _, err := shm.Lookup(id); err == nil {
		t.Error("Lookup finds a closed segment")
	}
	if _, _, err := shm.Resolve(ref, shm.KindUser); err == nil {
		t.Error("Resolve finds an object of a closed segment")
	}
}

// Close comes while others use the segment: each of them ends with ErrClosed.
func TestCloseUnderUse(t *testing.T) {
	for range 20 {
		s, err := shm.New(&shm.Options{Size: 64, Arena: 1 << 20})
		ok(t, err)
		v, err := shm.NewValue(s, 0)
		ok(t, err)
		a, err := shm.NewArray[int](s, 64)
		ok(t, err)
		uses := []func() error{
			func() error { _, err := shm.Add(v, 1); return err },
			func() error { return a.CopyFrom(0, make([]int, 64)) },
			func() error {
				ref, err := s.Alloc(shm.KindUser, 200)
				if err == nil {
					err = s.Free(ref)
				}
				return err
			},
			func() error {
				fd, err := s.Export()
				if err == nil {
					err = os.NewFile(uintptr(fd), "").Close()
				}
				return err
			},
		}
		begun, ends := make(chan bool), make(chan error)
		for _, use := range uses {
			go func() {
				err := use()
				begun <- true
				for err == nil {
					err = use()
				}
				ends <- err
			}()
		}
		for range uses {
			<-begun
		}
		ok(t, s.Close())
		for range uses {
			wantErr(t, <-ends, shm.ErrClosed)
		}
	}
}
