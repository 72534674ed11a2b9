//go:build amd64 || arm64

package ringbuf_test

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
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

// These tests run a child one instruction at a time, by ptrace, through the calls of a ring. What a process that is killed
// leaves behind is what the memory holds at that instruction: so after every one the memory is copied, and survivors, to
// whom all others are dead, take the roles on the copy and must find what was put and not taken. Some children are killed
// in earnest, to see that it is the same.
//
// RINGBUF_STEPS=all checks every instruction where that takes long, and kills at every one.

// A stepOp is one call. A death in it leaves all of its effect or none.
type stepOp struct {
	name  string
	do    func(s *stepSides) error
	want  error
	put   [][]byte
	take  int
	close bool // ends the stream, or the queue
}

type stepSides struct {
	r *ringbuf.SPSC
	p *ringbuf.Producer
	c *ringbuf.Consumer
}

func putOp(name string, n int) stepOp {
	msg := content(uint64(n), n)
	return stepOp{name: name, put: [][]byte{msg}, do: func(s *stepSides) error { return s.p.TryPut(msg) }}
}

func getOp(name string) stepOp {
	return stepOp{name: name, take: 1, do: func(s *stepSides) error { _, err := s.c.TryGet(nil); return err }}
}

// spscSteps lead through every path of a ring of 256 bytes.
func spscSteps() []stepOp {
	batch := [][]byte{content(1, 10), content(2, 11), content(3, 12)}
	full := putOp("TryPut that skips and finds no room", 100)
	full.put, full.want = nil, ringbuf.ErrFull
	empty := getOp("TryGet of nothing")
	empty.take, empty.want = 0, ringbuf.ErrEmpty
	end := getOp("TryGet at the end")
	end.take, end.want = 0, ringbuf.ErrClosed
	return []stepOp{
		{name: "Producer", do: func(s *stepSides) (err error) { s.p, err = s.r.Producer(); return err }},
		{name: "Consumer", do: func(s *stepSides) (err error) { s.c, err = s.r.Consumer(); return err }},
		putOp("TryPut, the first", 20),
		putOp("TryPut, the common way", 21),
		{name: "TryReserve and Commit", put: [][]byte{content(30, 30)}, do: func(s *stepSides) error {
			buf, err := s.p.TryReserve(40)
			if err != nil {
				return err
			}
			copy(buf, content(30, 30))
			return s.p.Commit(30)
		}},
		{name: "PutBatch", put: batch, do: func(s *stepSides) error { _, err := s.p.PutBatch(context.Background(), batch); return err }},
		full,
		getOp("TryGet, the common way"),
		{name: "TryPeek", do: func(s *stepSides) error { _, err := s.c.TryPeek(); return err }},
		{name: "Release", take: 1, do: func(s *stepSides) error { return s.c.Release() }},
		{name: "GetBatch", take: 2, do: func(s *stepSides) error {
			_, err := s.c.GetBatch(context.Background(), 2, func([]byte) error { return nil })
			return err
		}},
		putOp("TryPut in the next lap", 100),
		getOp("TryGet"), getOp("TryGet, the last of the lap"),
		getOp("TryGet behind the skip"),
		empty,
		putOp("TryPut", 8), putOp("TryPut of nothing", 0),
		{name: "Producer.Close", close: true, do: func(s *stepSides) error { return s.p.Close() }},
		getOp("TryGet of a closed ring"), getOp("TryGet of its last message"),
		end,
	}
}

// The child runs the steps of a kind on the ring behind the first page of the segment that it inherits; the first byte says
// 2i+1 while it is in step i, and 2i+2 after it.
const stepRing = 4096

var stepChild = proctest.NewProgram("ringbuf-step", func() int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "the traced child:", err)
		return 1
	}
	seg, err := shm.Attach(3)
	if err != nil {
		return fail(err)
	}
	ctl, mem := seg.Bytes()[:16], seg.Bytes()[stepRing:]
	var s stepSides
	steps := spscSteps()
	s.r, err = ringbuf.OpenSPSC(mem, in(seg))
	if err == nil {
		err = proctest.Traced(1)
	}
	if err != nil {
		return fail(err)
	}
	for i, op := range steps {
		ctl[0] = byte(2*i + 1)
		err := op.do(&s)
		ctl[0] = byte(2*i + 2)
		if !errors.Is(err, op.want) {
			return fail(fmt.Errorf("%s: %w", op.name, err))
		}
	}
	return 0
})

// A tracee is a child that is traced by this thread.
type tracee struct {
	*proctest.Tracee
	seg *shm.Segment
	ctl []byte
	mem []byte
}

// trace starts a child and stops it before its first step. The goroutine must be locked to its thread.
func trace(t *testing.T, kind string) *tracee {
	t.Helper()
	size := ringbuf.SPSCSize(256)
	seg := newSegment(t, stepRing+size)
	x := &tracee{seg: seg, ctl: seg.Bytes()[:16], mem: seg.Bytes()[stepRing:]}
	var err error
	_, err = ringbuf.CreateSPSC(x.mem, in(seg))
	ok(t, err)
	fd, err := seg.Export()
	ok(t, err)
	file := os.NewFile(uintptr(fd), "segment")
	defer file.Close()
	x.Tracee = proctest.Trace(t, stepChild, []*os.File{file}, kind)
	return x
}

// step lets the child carry out one instruction, and returns the step that it is in and whether it is inside it.
func (x *tracee) step() (op int, inside bool) {
	x.Step()
	return (int(x.ctl[0]) - 1) / 2, x.ctl[0]%2 == 1
}

// survivor is the one who is left of all participants.
type survivor struct{}

func (survivor) Self() uint32          { return 1<<30 - 1 }
func (survivor) Alive(tok uint32) bool { return tok == 1<<30-1 }

// heirs takes the roles on mem, takes everything that is there, and sends a message through. It reports whether the stream was
// closed.
func heirs(mem []byte, o *ringbuf.SPSCOptions) (got [][]byte, closed bool, err error) {
	r, err := ringbuf.OpenSPSC(mem, o)
	if err != nil {
		return nil, false, err
	}
	c, err := r.Consumer()
	if err != nil {
		return nil, false, fmt.Errorf("take the consumer's role: %w", err)
	}
	take := func() error {
		for {
			msg, err := c.TryGet(nil)
			if err != nil {
				return err
			}
			got = append(got, msg)
		}
	}
	if err := take(); err == ringbuf.ErrClosed {
		if _, err := r.Producer(); err != ringbuf.ErrClosed {
			return got, true, fmt.Errorf("take the producer's role of a closed ring: %w", err)
		}
		return got, true, nil
	} else if err != ringbuf.ErrEmpty {
		return got, false, err
	}
	p, err := r.Producer()
	if err != nil {
		return got, false, fmt.Errorf("take the producer's role: %w", err)
	}
	for _, n := range []int{40, 0, 90} {
		if err := p.TryPut(content(9, n)); err != nil {
			return got, false, fmt.Errorf("the heir puts %d bytes into an empty ring: %w", n, err)
		}
		if msg, err := c.TryGet(nil); err != nil || !bytes.Equal(msg, content(9, n)) {
			return got, false, fmt.Errorf("the heir gets %x, %w", msg, err)
		}
	}
	return got, false, nil
}

// outcome says whether what the heirs found is right when the child stood in op with before in the ring: 0 for no effect of op,
// 1 for its effect.
func outcome(op stepOp, before, got [][]byte, closed bool, wasClosed bool) (int, error) {
	same := func(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }
	after := append(slices.Clone(before), op.put...)[op.take:]
	switch {
	case op.close && same(got, before):
		if closed {
			return 1, nil
		}
		return 0, nil
	case closed != wasClosed:
		return 0, fmt.Errorf("closed is %v", closed)
	case same(got, before):
		return 0, nil
	case same(got, after):
		return 1, nil
	}
	return 0, fmt.Errorf("%d messages, want the %d before it or the %d after it", len(got), len(before), len(after))
}

var stepKinds = map[string]struct {
	steps func() []stepOp
	heirs func(mem []byte, o *ringbuf.SPSCOptions) ([][]byte, bool, error)
}{
	"spsc": {spscSteps, heirs},
}

// A walk follows a child through its steps.
type walk struct {
	*tracee
	steps  []stepOp
	op     int      // the child is in
	before [][]byte // what was in the ring before it
	closed bool     // so was the ring
	count  []int    // instructions in each step
	last   []byte   // the memory after the last change
	stores int      // changes so far
}

func newWalk(x *tracee, steps []stepOp) *walk {
	return &walk{tracee: x, steps: steps, op: -1, count: make([]int, len(steps)), last: bytes.Clone(x.mem)}
}

// next goes on to the next instruction of a step that has changed the memory, and reports false when there is none any more.
func (w *walk) next() bool {
	for int(w.ctl[0]) < 2*len(w.steps) {
		op, inside := w.step()
		if !inside {
			continue
		}
		if op != w.op {
			if w.op >= 0 {
				w.before = append(w.before, w.steps[w.op].put...)[w.steps[w.op].take:]
				w.closed = w.closed || w.steps[w.op].close
			}
			w.op = op
		}
		w.count[op]++
		if !bytes.Equal(w.mem, w.last) {
			copy(w.last, w.mem)
			w.stores++
			return true
		}
	}
	return false
}

// TestEveryInstruction runs a child through all calls, instruction by instruction, and looks at what it would leave behind after
// each that has changed the memory: the others leave what the one before them did.
//
// Red when a message is published before it is written, and when the head is published before the message is read.
func TestEveryInstruction(t *testing.T) {
	if raceEnabled {
		t.Skip("the instructions would be the race detector's")
	}
	for name, kind := range stepKinds {
		t.Run(name, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			w := newWalk(trace(t, name), kind.steps())
			op, done := -1, 0
			buf := make([]byte, len(w.mem))
			for w.next() {
				if w.op != op {
					op, done = w.op, 0
				}
				copy(buf, w.last)
				got, shut, err := kind.heirs(buf, &ringbuf.SPSCOptions{Participants: survivor{}})
				how := 0
				if err == nil {
					how, err = outcome(w.steps[op], w.before, got, shut, w.closed)
				}
				if err == nil && how < done {
					err = errors.New("the effect of the call was there and is gone")
				}
				if err != nil {
					w.Kill()
					t.Fatalf("death after instruction %d of %s (step %d): %v", w.count[op], w.steps[op].name, op, err)
				}
				done = how
			}
			w.Let()
			total := 0
			for i, op := range w.steps {
				if total += w.count[i]; w.count[i] == 0 {
					t.Errorf("the child was never seen in %s", op.name)
				}
			}
			t.Logf("%d instructions in %d calls; %d of them changed the memory", total, len(w.steps), w.stores)
		})
	}
}

// TestKillAtInstruction kills children in earnest, after some of the instructions that change the memory, or with
// RINGBUF_STEPS=all after each, and has this process inherit.
func TestKillAtInstruction(t *testing.T) {
	if raceEnabled {
		t.Skip("the instructions would be the race detector's")
	}
	stride := 29
	if os.Getenv("RINGBUF_STEPS") == "all" {
		stride = 1
	}
	for name, kind := range stepKinds {
		t.Run(name, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			kills := 0
			for k := 5; ; k += stride {
				w := newWalk(trace(t, name), kind.steps())
				for w.stores < k && w.next() {
				}
				if w.stores < k {
					w.Let()
					w.seg.Close()
					break
				}
				w.Kill()
				proctest.Dead(t, w.seg)
				kills++
				got, shut, err := kind.heirs(w.mem, in(w.seg))
				if err == nil {
					_, err = outcome(w.steps[w.op], w.before, got, shut, w.closed)
				}
				if err != nil {
					t.Fatalf("killed after store %d, in %s: %v", k, w.steps[w.op].name, err)
				}
				w.seg.Close()
			}
			t.Logf("%d children were killed", kills)
		})
	}
}
