package bench

import (
	"context"
	"time"

	"github.com/fb2d3dbd/multiproc"
)

// A pipeArg is a pipe of two ways: member i has end i.
type pipeArg struct {
	Ends [2]*multiproc.PipeEnd
	Size int // of a message
}

func newPipeArg(size int) (pipeArg, error) {
	a, b, err := multiproc.Pipe(true)
	return pipeArg{Ends: [2]*multiproc.PipeEnd{a, b}, Size: size}, err
}

func (a pipeArg) close() {
	_ = a.Ends[0].Close() // it cannot fail
	_ = a.Ends[1].Close()
}

var pipeTarget = multiproc.NewTarget("bench.pipe", func(ctx context.Context, m member[pipeArg]) error {
	end, msg := m.Arg.Ends[m.Me], make([]byte, m.Arg.Size)
	if m.Me == 0 {
		if err := m.start(ctx); err != nil {
			return err
		}
		for i := range m.N {
			stamp(msg, i)
			if err := end.SendBytes(ctx, msg); err != nil {
				return err
			}
		}
		return m.sent(ctx)
	}
	if err := m.start(ctx); err != nil {
		return err
	}
	var sum uint64
	for i := range m.N {
		if _, err := end.RecvInto(ctx, msg); err != nil {
			return err
		}
		number, err := numberOf(msg)
		if err != nil || number != uint64(i) {
			return errTorn
		}
		sum += number
	}
	return m.done(ctx, m.N, sum)
})

// overOurs runs the target in the two processes at the ends of a pipe.
func overOurs(target *multiproc.Target[member[pipeArg]], size int, check func(n int, total tally) error) Impl {
	return multiprocImpl(func(ctx context.Context, n int) (time.Duration, error) {
		arg, err := newPipeArg(size)
		if err != nil {
			return 0, err
		}
		defer arg.close()
		elapsed, total, err := runCrew(ctx, target, n, 2, arg)
		if err != nil {
			return 0, err
		}
		return elapsed, check(n, total)
	})
}

// allCame says that all messages came, whole and in order.
func allCame(n int, total tally) error { return verdict(n, total.Count, total.Sum) }

func multiprocPipe(size int) Impl { return overOurs(pipeTarget, size, allCame) }

var pipeRTTTarget = multiproc.NewTarget("bench.pipe.rtt", func(ctx context.Context, m member[pipeArg]) error {
	end, msg := m.Arg.Ends[m.Me], make([]byte, m.Arg.Size)
	if err := m.start(ctx); err != nil {
		return err
	}
	if m.Me == 1 {
		for range m.N {
			if _, err := end.RecvInto(ctx, msg); err != nil {
				return err
			}
			if err := end.SendBytes(ctx, msg); err != nil {
				return err
			}
		}
		return m.sent(ctx)
	}
	var sum uint64
	for i := range m.N {
		stamp(msg, i)
		if err := end.SendBytes(ctx, msg); err != nil {
			return err
		}
		if _, err := end.RecvInto(ctx, msg); err != nil {
			return err
		}
		number, err := numberOf(msg)
		if err != nil || number != uint64(i) {
			return errTorn
		}
		sum += number
	}
	return m.done(ctx, m.N, sum)
})

func multiprocPipeRTT() Impl { return overOurs(pipeRTTTarget, 64, allCame) }

var pipeParkedTarget = multiproc.NewTarget("bench.pipe.parked", func(ctx context.Context, m member[pipeArg]) error {
	end, msg := m.Arg.Ends[m.Me], make([]byte, m.Arg.Size)
	send := func(msg []byte) error { return end.SendBytes(ctx, msg) }
	receive := func(msg []byte) error { _, err := end.RecvInto(ctx, msg); return err }
	if err := m.start(ctx); err != nil {
		return err
	}
	if m.Me == 1 {
		for range m.N {
			if err := answerLate(msg, send, receive); err != nil {
				return err
			}
		}
		return m.sent(ctx)
	}
	elapsed, err := askLate(m.N, msg, send, receive)
	if err != nil {
		return err
	}
	return m.Reports.Put(ctx, report{Me: m.Me, Begin: m.begin, End: m.begin + elapsed, Count: m.N})
})

func multiprocPipeParked() Impl {
	return overOurs(pipeParkedTarget, 64, func(n int, total tally) error {
		return verdict(n, total.Count, uint64(n)*uint64(n-1)/2) // askLate has looked at each
	})
}
