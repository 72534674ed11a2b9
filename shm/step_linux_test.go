//go:build (amd64 || arm64) && !race

package shm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

// These tests run a child one instruction at a time through the calls of the arena and of a Blob. After every instruction that has changed the
// segment, all that Check asks for must hold, by looking alone; a participant that lives must get and give back what it wants while the child stands there;
// and a child that is killed there must leave nothing that Collect does not find.

// stepCalls is what the child does. The word at byte 0 of the user's bytes is 1 from its beginning to its end.
func stepCalls(s *shm.Segment, b *shm.Blob) error {
	mine, err := s.Reserve(shm.KindUser, 50) // from where nothing was
	if err != nil {
		return err
	}
	first, e1 := s.Alloc(shm.KindUser, 300) // with a free block made before it
	e2 := s.Publish(mine)
	e3 := s.Free(mine)
	second, e4 := s.Alloc(shm.KindUser, 40) // from the list
	left, e5 := s.Reserve(shm.KindUser, 300)
	e6 := b.Store(context.Background(), []byte("second"))
	_, e7 := s.Collect()
	return errors.Join(e1, e2, e3, e4, e5, e6, e7, s.Free(first), s.Free(second), s.Free(left))
}

var stepChild = proctest.NewProgram("shm-step", func() int {
	s, err := shm.Attach(3)
	if err == nil {
		b := new(shm.Blob)
		if err = b.UnmarshalBinary(s.Bytes()[64:96]); err == nil {
			if err = proctest.Traced(1); err == nil {
				s.Bytes()[0] = 1
				err = stepCalls(s, b)
				s.Bytes()[0] = 0
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the traced child:", err)
		return 1
	}
	return 0
})

// A stepped is a child that stands before its calls, and the segment that it shares with this process.
type stepped struct {
	t    *testing.T
	x    *proctest.Tracee
	s    *shm.Segment
	w    *shm.Window
	blob *shm.Blob
	last []byte // what the segment was when it was last looked at
}

func traceCalls(t *testing.T) *stepped {
	t.Helper()
	s := newSegment(t, &shm.Options{Size: 128, Arena: 64 << 10, Participants: 8})
	blob, err := shm.NewBlob(s, 20)
	ok(t, err)
	ok(t, blob.Store(proctest.Context(t), []byte("first")))
	handle, err := blob.MarshalBinary()
	ok(t, err)
	copy(s.Bytes()[64:], handle)
	fd, err := s.Export()
	ok(t, err)
	f := os.NewFile(uintptr(fd), "segment")
	defer f.Close()
	return &stepped{t: t, x: proctest.Trace(t, stepChild, []*os.File{f}), s: s, w: window(t, s), blob: blob}
}

// next lets the child go on to the next instruction that changes the segment; false says that its calls are done.
func (c *stepped) next() bool {
	c.t.Helper()
	for began := c.s.Bytes()[0] == 1; ; {
		c.x.Step()
		if !began {
			began = c.s.Bytes()[0] == 1
			c.last = slices.Clone(c.w.Memory())
			continue
		}
		if c.s.Bytes()[0] == 0 {
			return false
		}
		if !bytes.Equal(c.last, c.w.Memory()) {
			c.last = append(c.last[:0], c.w.Memory()...)
			return true
		}
	}
}

// live has this process use the segment.
func (c *stepped) live() {
	c.t.Helper()
	for _, size := range []int{50, 300} {
		ref, err := c.s.Alloc(shm.KindUser, size)
		ok(c.t, err)
		ok(c.t, c.s.Free(ref))
	}
	ok(c.t, c.w.Check())
}

// value checks the blob.
func (c *stepped) value() {
	c.t.Helper()
	if v, err := c.blob.Load(); err != nil || string(v) != "first" && string(v) != "second" {
		c.t.Fatalf("the value is %q, %v", v, err)
	}
}

func lockThread(t *testing.T) {
	runtime.LockOSThread() // a tracer is a thread
	t.Cleanup(runtime.UnlockOSThread)
}

func TestEveryInstruction(t *testing.T) {
	lockThread(t)
	for _, used := range []bool{false, true} {
		c := traceCalls(t)
		n := 0
		for ; c.next(); n++ {
			if err := c.w.Check(); err != nil {
				t.Fatalf("after change %d: %v", n, err)
			}
			c.value()
			if used {
				c.live()
				c.last = append(c.last[:0], c.w.Memory()...)
			}
		}
		c.x.Let()
		if !used && n < 50 || n < 15 { // others bring much to its end for it
			t.Errorf("the child has changed the segment only %d times", n)
		}
		if n, err := c.s.Collect(); n != 0 || err != nil {
			t.Errorf("who has done all that it had to has left %d blocks, %v", n, err)
		}
		ok(t, c.s.Check())
		t.Logf("%d changes", n)
	}
}

func TestKillAtInstruction(t *testing.T) {
	lockThread(t)
	stride := 3
	if testing.Short() {
		stride = 40
	}
	for at := 0; ; at += stride {
		c := traceCalls(t)
		n := 0
		for n <= at && c.next() {
			n++
		}
		if n <= at { // its calls were done
			c.x.Let()
			return
		}
		c.x.Kill()
		proctest.Dead(t, c.s)
		ok(t, c.w.Check())
		c.value()
		ok(t, c.blob.Store(proctest.Context(t), []byte("second")))
		_, err := c.s.Collect()
		ok(t, err)
		if n, err := c.s.Collect(); n != 0 || err != nil {
			t.Errorf("killed after change %d: a second Collect has found %d blocks, %v", at, n, err)
		}
		for o, err := range c.w.Objects() {
			ok(t, err)
			if o.State == shm.BlockHand || o.State == shm.BlockReserved {
				t.Errorf("killed after change %d: the block at %#x is %s", at, o.Offset, o.State)
			}
		}
		c.live()
	}
}
