//go:build amd64 || arm64

package ringbuf_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

// These tests run a child one instruction at a time through every call of a queue, a repair included, and after each that has
// changed the memory have survivors, to whom the child is dead, mend a copy and take what there is.

// A queueStep is one call. What waits in the queue, or was taken and not acknowledged, is before or after it what the step says.
type queueStep struct {
	name string
	do   func(s *queueSides) error
	want error
	// after says what the heirs of one who died behind the step find, given what they found before it.
	after func(before []int) []int
	// A death in a call that takes and acknowledges loses nothing before the acknowledgement and all after it: that is one change.
	// between, where there is one, is what they find between two changes.
	between func(before []int) []int
	closes  bool
}

type queueSides struct {
	seg *shm.Segment
	q   *ringbuf.MPMC
	r   *ringbuf.Reservation
	d   *ringbuf.Delivery
}

var stepQueue = ringbuf.MPMCOptions{Capacity: 3, Spares: 3, MessageSize: 32, Bytes: 2048, Members: 6}

func same(before []int) []int { return before }

func plus(ids ...int) func([]int) []int {
	return func(before []int) []int { return append(slices.Clone(before), ids...) }
}

func less(ids ...int) func([]int) []int {
	return func(before []int) []int {
		return slices.DeleteFunc(slices.Clone(before), func(id int) bool { return slices.Contains(ids, id) })
	}
}

// stepLetter is message id; those of an odd id stand in the arena, in two units of 256 bytes.
func stepLetter(id int) []byte {
	return append([]byte{byte(id)}, content(uint64(id), 20+id%2*400)...)
}

func stepPut(id int) queueStep {
	return queueStep{name: fmt.Sprintf("TryPut(%d)", id), after: plus(id), do: func(s *queueSides) error { return s.q.TryPut(stepLetter(id)) }}
}

func stepGet(id int) queueStep {
	return queueStep{name: fmt.Sprintf("TryGet(%d)", id), after: less(id), do: func(s *queueSides) error {
		msg, err := s.q.TryGet(nil)
		if err == nil && !bytes.Equal(msg, stepLetter(id)) {
			err = fmt.Errorf("got message %d", msg[0])
		}
		return err
	}}
}

func stepGetInto(id int) queueStep {
	return queueStep{name: fmt.Sprintf("TryGetInto(%d)", id), after: less(id), do: func(s *queueSides) error {
		buf := make([]byte, len(stepLetter(id)))
		if _, err := s.q.TryGetInto(buf); err != nil || !bytes.Equal(buf, stepLetter(id)) {
			return fmt.Errorf("got message %d, %w", buf[0], err)
		}
		return nil
	}}
}

func stepReceive(id int) queueStep {
	return queueStep{name: fmt.Sprintf("TryReceive(%d)", id), after: same, do: func(s *queueSides) (err error) {
		if s.d, err = s.q.TryReceive(); err == nil && !bytes.Equal(s.d.Bytes(), stepLetter(id)) {
			err = fmt.Errorf("received message %d", s.d.Bytes()[0])
		}
		return err
	}}
}

func stepAck(id int) queueStep {
	return queueStep{name: "Ack", after: less(id), do: func(s *queueSides) error { return s.d.Ack() }}
}

func stepReserve(n int) queueStep {
	return queueStep{name: "TryReserve", after: same, do: func(s *queueSides) (err error) { s.r, err = s.q.TryReserve(n); return err }}
}

func stepCommit(id int) queueStep {
	return queueStep{name: "TryCommit", after: plus(id), do: func(s *queueSides) error {
		return s.r.TryCommit(copy(s.r.Bytes(), stepLetter(id)))
	}}
}

func queueSteps() []queueStep {
	nack := queueStep{name: "Nack", after: same, do: func(s *queueSides) error { return s.d.Nack() }}
	fullQueue := queueStep{name: "TryPut into a full queue", after: same, want: ringbuf.ErrFull, do: func(s *queueSides) error { return s.q.TryPut(nil) }}
	short := queueStep{name: "TryGetInto too little room", after: same, want: io.ErrShortBuffer, do: func(s *queueSides) error { _, err := s.q.TryGetInto(nil); return err }}
	empty := queueStep{name: "TryGet from an empty queue", after: same, want: ringbuf.ErrEmpty, do: func(s *queueSides) error { _, err := s.q.TryGet(nil); return err }}
	return []queueStep{
		// What the dead have left: two un-acknowledged messages, one of them large, and a reservation with units.
		{name: "Open", after: same, do: func(s *queueSides) (err error) {
			s.q, err = ringbuf.OpenMPMC(s.seg.Bytes()[stepRing:], manyIn(s.seg))
			return err
		}},
		{name: "Repair", after: same, do: func(s *queueSides) error { _, err := s.q.Repair(); return err }},
		stepReceive(100), stepAck(100), stepReceive(101), stepAck(101), empty,
		stepPut(2), stepPut(3), stepPut(4), fullQueue,
		stepGet(2), short, stepGetInto(3), stepPut(6), stepPut(7), stepGetInto(4),
		stepReceive(6), stepAck(6), stepReceive(7), nack, stepReceive(7), stepAck(7),
		stepReserve(40), stepCommit(8), stepReserve(500), stepCommit(9), stepReserve(300),
		{name: "Abort", after: same, do: func(s *queueSides) error { return s.r.Abort() }},
		stepGet(8), stepGet(9), stepPut(10), stepPut(12),
		{name: "PutBatch", after: plus(14), do: func(s *queueSides) error {
			_, err := s.q.PutBatch(context.Background(), [][]byte{stepLetter(14)})
			return err
		}},
		{name: "GetBatch", after: less(10, 12), between: less(10), do: func(s *queueSides) error { _, err := s.q.GetBatch(context.Background(), 2); return err }},
		{name: "Close", after: same, closes: true, do: func(s *queueSides) error { return s.q.Close() }},
		stepGet(14),
		{name: "TryGet at the end", after: same, want: ringbuf.ErrClosed, do: func(s *queueSides) error { _, err := s.q.TryGet(nil); return err }},
	}
}

// stepCorpses leaves behind what the first steps mend: two participants that close their mapping with messages in hand.
func stepCorpses(t *testing.T, seg *shm.Segment) {
	o := stepQueue
	o.Participants = seg
	q, err := ringbuf.CreateMPMC(seg.Bytes()[stepRing:], &o)
	ok(t, err)
	for range 2 {
		s := again(t, seg)
		dead, err := ringbuf.OpenMPMC(s.Bytes()[stepRing:], manyIn(s))
		ok(t, err)
		if n, err := q.Len(); n == 0 && err == nil {
			ok(t, q.TryPut(stepLetter(100)))
			ok(t, q.TryPut(stepLetter(101)))
		}
		_, err = dead.TryReceive()
		ok(t, err)
		if _, err = dead.TryReserve(300); err != nil {
			wantErr(t, err, ringbuf.ErrFull)
		}
		ok(t, s.Close())
	}
}

var queueChild = proctest.NewProgram("ringbuf-queue-step", func() int {
	seg, err := shm.Attach(3)
	if err == nil {
		err = proctest.Traced(1)
	}
	if err == nil {
		s := queueSides{seg: seg}
		ctl := seg.Bytes()[:16]
		for i, step := range queueSteps() {
			ctl[0] = byte(2*i + 1)
			e := step.do(&s)
			ctl[0] = byte(2*i + 2)
			if !errors.Is(e, step.want) {
				err = fmt.Errorf("%s: %w", step.name, e)
				break
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the traced child:", err)
		seg.Bytes()[15] = 1
		select {} // a process that ends is not what the tracer waits for
	}
	return 0
})

// heirsOf mends what is in mem and takes it all.
func heirsOf(mem []byte, o *ringbuf.MPMCOptions) (ids []int, closed bool, err error) {
	q, err := ringbuf.OpenMPMC(mem, o)
	if err != nil {
		return nil, false, err
	}
	if err := q.Check(); err != nil {
		return nil, false, fmt.Errorf("before the repair: %w", err)
	}
	if _, err := q.Repair(); err != nil {
		return nil, false, err
	}
	for {
		msg, err := q.TryGet(nil)
		if errors.Is(err, ringbuf.ErrEmpty) || errors.Is(err, ringbuf.ErrClosed) {
			closed = errors.Is(err, ringbuf.ErrClosed)
			break
		}
		if err != nil {
			return nil, false, err
		}
		if !bytes.Equal(msg, stepLetter(int(msg[0]))) {
			return nil, false, fmt.Errorf("message %d came with other bytes", msg[0])
		}
		ids = append(ids, int(msg[0]))
	}
	if used := ringbuf.UsedSlots(q); len(used) > 0 || ringbuf.UsedUnits(q) > 0 {
		return nil, false, fmt.Errorf("%x and %d units of a drained queue are not free", used, ringbuf.UsedUnits(q))
	}
	for range stepQueue.Capacity {
		if err := q.TryPut(stepLetter(2)); err != nil && !(closed && errors.Is(err, ringbuf.ErrClosed)) {
			return nil, false, fmt.Errorf("the heir puts: %w", err)
		}
		if closed = q.Closed(); closed {
			break
		}
	}
	slices.Sort(ids)
	return ids, q.Closed(), q.Check()
}

// A queueWalk follows a child through its steps.
type queueWalk struct {
	*proctest.Tracee
	seg    *shm.Segment
	ctl    []byte
	mem    []byte
	last   []byte
	steps  []queueStep
	op     int
	before []int // what heirs find before the step
	closed bool
	count  int
	stores int
}

func newQueueWalk(t *testing.T) *queueWalk {
	t.Helper()
	seg := newSegment(t, stepRing+queueSize(t, stepQueue))
	stepCorpses(t, seg)
	fd, err := seg.Export()
	ok(t, err)
	file := os.NewFile(uintptr(fd), "segment")
	defer file.Close()
	w := &queueWalk{seg: seg, ctl: seg.Bytes()[:16], mem: seg.Bytes()[stepRing:], steps: queueSteps(), op: -1, before: []int{100, 101}}
	w.last = bytes.Clone(w.mem)
	w.Tracee = proctest.Trace(t, queueChild, []*os.File{file})
	return w
}

// next goes on to the next instruction that has changed the memory, and reports false behind the last.
func (w *queueWalk) next(t *testing.T) bool {
	for int(w.ctl[0]) < 2*len(w.steps) {
		w.Step()
		w.count++
		if w.ctl[15] != 0 {
			w.Kill()
			t.Fatal("the traced child has failed")
		}
		op := (int(w.ctl[0]) - 1) / 2
		if w.ctl[0]%2 == 0 || w.ctl[0] == 0 {
			continue
		}
		if op != w.op {
			if w.op >= 0 {
				w.before = w.steps[w.op].after(w.before)
				w.closed = w.closed || w.steps[w.op].closes
			}
			w.op = op
		}
		if !bytes.Equal(w.mem, w.last) {
			copy(w.last, w.mem)
			w.stores++
			return true
		}
	}
	return false
}

// judge says how far a step had come when heirs found ids: 0 not at all, 1 between, 2 all of it.
func (w *queueWalk) judge(ids []int, closed bool) (int, error) {
	step := w.steps[w.op]
	sorted := func(f func([]int) []int) []int { s := slices.Clone(f(w.before)); slices.Sort(s); return s }
	switch {
	case closed && !w.closed && !step.closes, w.closed && !closed:
		return 0, fmt.Errorf("closed is %v", closed)
	case step.closes && slices.Equal(ids, sorted(same)) && closed:
		return 2, nil
	case slices.Equal(ids, sorted(same)):
		return 0, nil
	case step.between != nil && slices.Equal(ids, sorted(step.between)):
		return 1, nil
	case slices.Equal(ids, sorted(step.after)):
		return 2, nil
	}
	return 0, fmt.Errorf("the messages %d, want the %d before it or the %d after it", ids, w.before, step.after(w.before))
}

// TestQueueEveryInstruction looks, after every instruction of every call, at what a death there would leave.
func TestQueueEveryInstruction(t *testing.T) {
	if raceEnabled {
		t.Skip("the instructions would be the race detector's")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w := newQueueWalk(t)
	op, done := -1, 0
	buf := make([]byte, len(w.mem))
	for w.next(t) {
		if w.op != op {
			op, done = w.op, 0
		}
		copy(buf, w.last)
		ids, closed, err := heirsOf(buf, &ringbuf.MPMCOptions{Participants: survivor{}})
		how := 0
		if err == nil {
			how, err = w.judge(ids, closed)
		}
		if err == nil && how < done {
			err = errors.New("the effect of the call was there and is gone")
		}
		if err != nil {
			w.Kill()
			t.Fatalf("death after store %d, in %s: %v", w.stores, w.steps[w.op].name, err)
		}
		done = how
	}
	w.Let()
	t.Logf("%d instructions in %d calls; %d of them changed the memory", w.count, len(w.steps), w.stores)
}

// TestQueueKillAtInstruction kills children in earnest, after some of the instructions that change the memory, or with RINGBUF_LONG after
// each, and has this process inherit.
func TestQueueKillAtInstruction(t *testing.T) {
	if raceEnabled {
		t.Skip("the instructions would be the race detector's")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	stride, kills := 71, 0
	if os.Getenv("RINGBUF_LONG") != "" {
		stride = 1
	}
	for k := 1 + stride/3; ; k += stride {
		w := newQueueWalk(t)
		for w.stores < k && w.next(t) {
		}
		if w.stores < k {
			w.Let()
			break
		}
		w.Kill()
		proctest.Dead(t, w.seg)
		kills++
		ids, closed, err := heirsOf(w.mem, manyIn(w.seg))
		if err == nil {
			_, err = w.judge(ids, closed)
		}
		if err != nil {
			t.Fatalf("killed after store %d, in %s: %v", k, w.steps[w.op].name, err)
		}
		w.seg.Close()
	}
	t.Logf("%d children were killed", kills)
}
