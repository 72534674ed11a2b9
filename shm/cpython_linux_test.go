package shm_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// What CPython tests of its heap, its shared memory and its resource tracker, and no other test here does; docs/cpython-tests.md has the list.

// TestHeap is CPython's test_heap: blocks of many sizes come and go, and the books are right at any time.
func TestHeap(t *testing.T) {
	s := newSegment(t, &shm.Options{Arena: 16 << 20})
	var blocks []shm.Ref
	for i := range 5000 {
		ref, err := s.Alloc(shm.KindUser, int(math.Exp(rand.NormFloat64())*1000))
		ok(t, err)
		blocks = append(blocks, ref)
		if len(blocks) > 50 {
			k := rand.IntN(len(blocks))
			ok(t, s.Free(blocks[k]))
			blocks = slices.Delete(blocks, k, k+1)
		}
		if i%500 == 0 {
			ok(t, s.Check())
		}
	}
	w := window(t, s)
	used, end := 0, uint64(0)
	for o, err := range w.Objects() {
		ok(t, err)
		if o.Offset != end {
			t.Fatalf("a block begins at %#x, the one before ends at %#x", o.Offset, end)
		}
		end = o.Offset + o.Block
		if o.State == shm.BlockUsed {
			used++
		}
	}
	if _, _, _, allocated := w.Sizes(); used != len(blocks) || end != uint64(allocated) {
		t.Errorf("%d blocks are in use and %d were taken; the last ends at %#x of %#x", used, len(blocks), end, allocated)
	}
	for _, ref := range blocks {
		ok(t, s.Free(ref))
	}
	for o := range w.Objects() {
		if o.State != shm.BlockFree {
			t.Errorf("when all were freed the block at %#x is %s", o.Offset, o.State)
		}
	}
	ok(t, s.Check())
}

// window looks at a segment.
func window(t *testing.T, s *shm.Segment) *shm.Window {
	t.Helper()
	fd, err := s.Export()
	ok(t, err)
	f := os.NewFile(uintptr(fd), "segment")
	defer f.Close()
	w, err := shm.LookAt(fd)
	ok(t, err)
	t.Cleanup(func() { ok(t, w.Close()) })
	return w
}

type blockArg struct {
	Block *shm.SharedMemory
	List  *shm.ShareableList
}

var howdy = spawn.NewTarget("shm.howdy", func(_ context.Context, a blockArg) error {
	_, err := a.Block.WriteAt([]byte("howdy"), 0)
	return errors.Join(err, a.List.Set(4, "changed"), a.Block.Close(), a.List.Close())
})

// Blocks and lists go to another process by their names.
func TestBlocksInAnotherProcess(t *testing.T) {
	m, err := shm.CreateSharedMemory("", 512)
	ok(t, err)
	items := []any{}
	for i := range 10 {
		items = append(items, i)
	}
	l, err := shm.CreateShareableList("", items...)
	ok(t, err)
	p, err := howdy.Start(proctest.Context(t), blockArg{m, l}, nil)
	ok(t, err)
	ok(t, p.Wait(proctest.Context(t)))
	if v, err := l.At(4); string(m.Bytes()[:5]) != "howdy" || v != "changed" || err != nil {
		t.Errorf("the child has made %q and %v, %v", m.Bytes()[:5], v, err)
	}
	// A duplicate is a list of its own.
	var all []any
	for _, v := range l.All() {
		all = append(all, v)
	}
	other, err := shm.CreateShareableList(m.Name()+"-2", all...)
	ok(t, err)
	ok(t, other.Set(9, 77))
	if v, _ := l.At(9); v != int64(9) {
		t.Errorf("the list has changed with its duplicate: %v", v)
	}
	f, e1 := l.Format()
	g, e2 := other.Format()
	ok(t, errors.Join(e1, e2))
	if f != g || other.Shared().Name() != m.Name()+"-2" {
		t.Errorf("the duplicate is %q, %s", g, other.Shared().Name())
	}
	// Handles of what is gone are refused.
	mb, e1 := m.MarshalBinary()
	lb, e2 := l.MarshalBinary()
	ok(t, errors.Join(e1, e2, m.Unlink(), l.Unlink(), other.Unlink(), m.Close(), l.Close(), other.Close()))
	wantErr(t, new(shm.SharedMemory).UnmarshalBinary(mb), os.ErrNotExist)
	wantErr(t, new(shm.ShareableList).UnmarshalBinary(lb), os.ErrNotExist)
	if _, err := new(shm.SharedMemory).MarshalBinary(); err == nil {
		t.Error("the zero SharedMemory can be sent")
	}
	if _, err := new(shm.ShareableList).MarshalBinary(); err == nil {
		t.Error("the zero ShareableList can be sent")
	}
	ok(t, new(shm.SharedMemory).Close())
}

// Whatever signal ends the last user of a named segment, its memory is gone and its name can be had again.
func TestNameAfterSignals(t *testing.T) {
	proctest.Heeds(t, syscall.SIGINT, syscall.SIGHUP)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGHUP} {
		name := proctest.SegmentName(t)
		k := keep(t, name)
		id := k.id(t)
		ok(t, k.cmd.Process.Signal(sig))
		if err := k.cmd.Wait(); err == nil {
			t.Errorf("%v has ended nobody", sig)
		}
		_, err := shm.Open(name)
		wantErr(t, err, os.ErrNotExist)
		s, err := shm.Create(name, nil)
		ok(t, err)
		if s.ID() == id {
			t.Errorf("after %v the segment is there", sig)
		}
		ok(t, s.Close())
		wantErr(t, shm.Unlink(name), os.ErrNotExist)
		wantErr(t, shm.UnlinkDead(name), os.ErrNotExist)
	}
}
