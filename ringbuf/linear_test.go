package ringbuf_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// A step is one call on a queue, with the ticks of one clock at which it began and ended. It stands in shared memory.
type step struct {
	Client, Call, Return int64
	Kind                 stepKind
	Value                uint64 // what was put or got, or the length
	Full, Empty, Closed  bool
}

type stepKind int64

const (
	kindPut stepKind = iota
	kindGet
	kindLen
	kindClose
)

// linearState is what a queue holds; ended says that somebody was told that nothing more comes.
type linearState struct {
	queue         []uint64
	closed, ended bool
}

const (
	linearLimit   = 3
	linearClients = 4
	linearSteps   = 14
)

var linearOptions = ringbuf.MPMCOptions{Capacity: linearLimit, Members: 16}

// queueModel is a first-in, first-out queue of linearLimit places: a try says that it is full exactly when all are taken, and
// that it is empty exactly when none is. A put that was under way at the close may still be seen to come after it, but not after the end.
var queueModel = porcupine.Model{
	Init: func() any { return linearState{} },
	Step: func(state, input, output any) (bool, any) {
		q, s := state.(linearState), output.(step)
		switch {
		case s.Kind == kindClose:
			q.closed = true
			return true, q
		case s.Kind == kindLen:
			return len(q.queue) == int(s.Value), q
		case s.Full:
			return len(q.queue) == linearLimit, q
		case s.Empty:
			return len(q.queue) == 0 && !q.ended, q
		case s.Closed && s.Kind == kindPut:
			return q.closed, q
		case s.Closed:
			q.ended = true
			return q.closed && len(q.queue) == 0, q
		case s.Kind == kindPut:
			good := len(q.queue) < linearLimit && !q.ended
			q.queue = append(slices.Clone(q.queue), s.Value)
			return good, q
		}
		good := len(q.queue) > 0 && q.queue[0] == s.Value
		q.queue = q.queue[min(1, len(q.queue)):]
		return good, q
	},
	Equal: func(a, b any) bool {
		x, y := a.(linearState), b.(linearState)
		return x.closed == y.closed && x.ended == y.ended && slices.Equal(x.queue, y.queue)
	},
	DescribeOperation: func(_, output any) string {
		s := output.(step)
		what := [...]string{"put", "get", "len", "close"}[s.Kind]
		switch {
		case s.Full, s.Empty, s.Closed:
			return fmt.Sprintf("%s(%d): full %v, empty %v, closed %v", what, s.Value, s.Full, s.Empty, s.Closed)
		}
		return fmt.Sprintf("%s: %d", what, s.Value)
	},
}

// record makes linearSteps random calls as one client and hands over what they did. A few of the calls wait.
func record(ctx context.Context, q *ringbuf.MPMC, client int, seed uint64, tick func() int64, done func(i int, s step) error) error {
	rnd := rand.New(rand.NewPCG(seed, uint64(client)))
	for i := range linearSteps {
		s := step{Client: int64(client), Kind: stepKind(rnd.IntN(2))}
		switch {
		case rnd.IntN(6) == 0:
			s.Kind = kindLen
		case i > linearSteps/2 && client == 0 && seed%2 == 0 && rnd.IntN(4) == 0:
			s.Kind = kindClose
		}
		msg := binary.LittleEndian.AppendUint64(nil, uint64(client)<<32|uint64(i))
		var err error
		n := 0
		s.Call = tick()
		switch s.Kind {
		case kindPut:
			s.Value = binary.LittleEndian.Uint64(msg)
			err = q.TryPut(msg)
		case kindGet:
			msg, err = q.TryGet(nil)
		case kindLen:
			n, err = q.Len()
		case kindClose:
			err = q.Close()
		}
		s.Return = tick()
		switch {
		case errors.Is(err, ringbuf.ErrFull):
			s.Full = true
		case errors.Is(err, ringbuf.ErrEmpty):
			s.Empty = true
		case errors.Is(err, ringbuf.ErrClosed):
			s.Closed = true
		case err != nil:
			return err
		case s.Kind == kindGet:
			s.Value = binary.LittleEndian.Uint64(msg)
		case s.Kind == kindLen:
			s.Value = uint64(n)
		}
		if err := done(i, s); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// wantLinear fails the test if no order of the steps explains them.
func wantLinear(t *testing.T, steps []step) {
	t.Helper()
	var ops []porcupine.Operation
	for _, s := range steps {
		ops = append(ops, porcupine.Operation{ClientId: int(s.Client), Output: s, Call: s.Call, Return: s.Return})
	}
	switch porcupine.CheckOperationsTimeout(queueModel, ops, 30*time.Second) {
	case porcupine.Illegal:
		slices.SortFunc(steps, func(a, b step) int { return int(a.Call - b.Call) })
		for _, s := range steps {
			t.Logf("client %d, %d to %d: %s", s.Client, s.Call, s.Return, queueModel.DescribeOperation(nil, s))
		}
		t.Fatal("no order of these calls is that of a queue")
	case porcupine.Unknown:
		t.Log("a history was too hard to decide")
	}
}

// TestLinearGoroutines has goroutines call one queue and looks for an order that explains what they saw.
//
// Red when a message is taken twice, when one passes another, and when a queue says that it is full or empty and is not.
func TestLinearGoroutines(t *testing.T) {
	ctx := proctest.Context(t)
	for seed := range uint64(scale(150)) {
		q := newQueue(t, linearOptions)
		var clock atomic.Int64
		steps := make([]step, linearClients*linearSteps)
		errs := make(chan error, linearClients)
		var begin sync.WaitGroup
		begin.Add(1)
		for c := range linearClients {
			go func() {
				begin.Wait()
				errs <- record(ctx, q, c, seed, func() int64 { return clock.Add(1) }, func(i int, s step) error {
					steps[c*linearSteps+i] = s
					return nil
				})
			}()
		}
		begin.Done()
		for range linearClients {
			ok(t, <-errs)
		}
		wantLinear(t, steps)
	}
}

const linearRounds = 40

type linearArg struct {
	Queues *shm.Segment // linearRounds of them, one after the other
	Clock  *shm.Value[int64]
	Gate   *shm.Value[int64] // clients that have come to each round
	Steps  *shm.Array[step]  // of all rounds and clients
	Client int
}

func (a linearArg) queue(round int) []byte {
	size, err := ringbuf.MPMCSize(&linearOptions)
	if err != nil {
		panic(err)
	}
	return a.Queues.Bytes()[round*size:][:size:size]
}

var linearTarget = spawn.NewTarget("ringbuf-linear", func(ctx context.Context, a linearArg) error {
	for round := range linearRounds {
		q, err := ringbuf.OpenMPMC(a.queue(round), manyIn(a.Queues))
		if err != nil {
			return err
		}
		if _, err := shm.Add(a.Gate, 1); err != nil {
			return err
		}
		for { // all begin a round together
			n, err := a.Gate.Load()
			if err != nil {
				return err
			}
			if n >= int64((round+1)*linearClients) {
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		var clockErr error
		tick := func() int64 {
			n, err := shm.Add(a.Clock, 1)
			clockErr = errors.Join(clockErr, err)
			return n
		}
		err = record(ctx, q, a.Client, uint64(round), tick, func(i int, s step) error {
			return a.Steps.Set((round*linearClients+a.Client)*linearSteps+i, s)
		})
		if err := errors.Join(err, clockErr); err != nil {
			return err
		}
	}
	return nil
})

// TestLinearProcesses does the same with processes, whose common clock is a counter in shared memory.
func TestLinearProcesses(t *testing.T) {
	ctx := proctest.Context(t)
	seg := newSegment(t, linearRounds*queueSize(t, linearOptions))
	book, err := shm.New(&shm.Options{Arena: 1 << 20, Participants: 16})
	ok(t, err)
	defer book.Close()
	arg := linearArg{Queues: seg}
	arg.Clock, err = shm.NewValue[int64](book, 0)
	ok(t, err)
	arg.Gate, err = shm.NewValue[int64](book, 0)
	ok(t, err)
	arg.Steps, err = shm.NewArray[step](book, linearRounds*linearClients*linearSteps)
	ok(t, err)
	for round := range linearRounds {
		o := linearOptions
		o.Participants = seg
		_, err := ringbuf.CreateMPMC(arg.queue(round), &o)
		ok(t, err)
	}
	var children []*spawn.Process
	for c := range linearClients {
		arg.Client = c
		p, err := linearTarget.Start(ctx, arg, nil)
		ok(t, err)
		children = append(children, p)
	}
	for _, p := range children {
		ok(t, p.Wait(ctx))
	}
	for round := range linearRounds {
		steps := make([]step, linearClients*linearSteps)
		for i := range steps {
			steps[i], err = arg.Steps.At(round*len(steps) + i)
			ok(t, err)
		}
		wantLinear(t, steps)
	}
}
