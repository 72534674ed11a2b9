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
	Put                  bool
	Value                uint64 // what was put or got
	Full, Empty          bool
}

const (
	linearLimit   = 3
	linearClients = 4
	linearSteps   = 14
)

var linearOptions = ringbuf.MPMCOptions{Capacity: linearLimit, Members: 16}

// queueModel is a first-in, first-out queue of linearLimit places: a try says that it is full exactly when all are taken, and
// that it is empty exactly when none is.
var queueModel = porcupine.Model{
	Init: func() any { return []uint64{} },
	Step: func(state, input, output any) (bool, any) {
		q, s := state.([]uint64), output.(step)
		switch {
		case s.Full:
			return len(q) == linearLimit, q
		case s.Empty:
			return len(q) == 0, q
		case s.Put:
			return len(q) < linearLimit, append(slices.Clone(q), s.Value)
		}
		return len(q) > 0 && q[0] == s.Value, q[min(1, len(q)):]
	},
	Equal: func(a, b any) bool { return slices.Equal(a.([]uint64), b.([]uint64)) },
	DescribeOperation: func(_, output any) string {
		s := output.(step)
		switch {
		case s.Full:
			return fmt.Sprintf("put(%d): full", s.Value)
		case s.Empty:
			return "get: empty"
		case s.Put:
			return fmt.Sprintf("put(%d)", s.Value)
		}
		return fmt.Sprintf("get: %d", s.Value)
	},
}

// record makes linearSteps random calls as one client and hands over what they did. A few of the calls wait.
func record(ctx context.Context, q *ringbuf.MPMC, client int, seed uint64, tick func() int64, done func(i int, s step) error) error {
	rnd := rand.New(rand.NewPCG(seed, uint64(client)))
	for i := range linearSteps {
		s := step{Client: int64(client), Put: rnd.IntN(2) == 0}
		msg := binary.LittleEndian.AppendUint64(nil, uint64(client)<<32|uint64(i))
		var err error
		s.Call = tick()
		if s.Put {
			s.Value = binary.LittleEndian.Uint64(msg)
			err = q.TryPut(msg)
		} else {
			msg, err = q.TryGet(nil)
		}
		s.Return = tick()
		switch {
		case s.Put && errors.Is(err, ringbuf.ErrFull):
			s.Full = true
		case !s.Put && errors.Is(err, ringbuf.ErrEmpty):
			s.Empty = true
		case err != nil:
			return err
		case !s.Put:
			s.Value = binary.LittleEndian.Uint64(msg)
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
		q, err := ringbuf.OpenMPMC(a.queue(round), in(a.Queues))
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
		o.Options = *in(seg)
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
