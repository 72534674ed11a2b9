package bench

import (
	"context"
	"time"

	"github.com/fb2d3dbd/multiproc"
)

// An mpmcArg is a queue, and how many of the processes are producers; the others are consumers.
type mpmcArg struct {
	Queue     *multiproc.Queue[[8]uint64]
	Producers int
}

func newMPMC(producers int) (mpmcArg, error) {
	q, err := multiproc.NewQueue[[8]uint64](&multiproc.QueueOptions{Capacity: queueMessages(64), Bytes: queueBytes(64)})
	return mpmcArg{q, producers}, err
}

var mpmcTarget = multiproc.NewTarget("bench.mpmc", func(ctx context.Context, m member[mpmcArg]) error {
	producers := m.Arg.Producers
	if m.Me < producers {
		mine := shareOf(m.N, producers, m.Me)
		if err := m.start(ctx); err != nil {
			return err
		}
		var msg [8]uint64
		for i := range mine {
			msg[0] = uint64(m.Me + i*producers)
			msg[len(msg)-1] = msg[0]
			if err := m.Arg.Queue.Put(ctx, msg); err != nil {
				return err
			}
		}
		return m.sent(ctx)
	}
	mine := shareOf(m.N, m.Parts-producers, m.Me-producers)
	if err := m.start(ctx); err != nil {
		return err
	}
	var sum uint64
	for range mine {
		msg, err := m.Arg.Queue.Get(ctx)
		if err != nil {
			return err
		}
		if msg[0] != msg[len(msg)-1] {
			return errTorn
		}
		sum += msg[0]
	}
	return m.done(ctx, mine, sum)
})

func multiprocMPMC(producers, consumers int) Impl {
	return multiprocQueue(mpmcTarget, producers, consumers)
}

// soloTarget is one process that puts and gets in turn.
var soloTarget = multiproc.NewTarget("bench.mpmc-solo", func(ctx context.Context, m member[mpmcArg]) error {
	if err := m.start(ctx); err != nil {
		return err
	}
	var msg [8]uint64
	var sum uint64
	for i := range m.N {
		msg[0], msg[len(msg)-1] = uint64(i), uint64(i)
		if err := m.Arg.Queue.Put(ctx, msg); err != nil {
			return err
		}
		back, err := m.Arg.Queue.Get(ctx)
		if err != nil {
			return err
		}
		if back != msg {
			return errTorn
		}
		sum += back[0]
	}
	return m.done(ctx, m.N, sum)
})

func multiprocSolo() Impl { return multiprocQueue(soloTarget, 1, 0) }

func multiprocQueue(t *multiproc.Target[member[mpmcArg]], producers, consumers int) Impl {
	return multiprocImpl(func(ctx context.Context, n int) (time.Duration, error) {
		arg, err := newMPMC(producers)
		if err != nil {
			return 0, err
		}
		defer arg.Queue.Free()
		elapsed, total, err := runCrew(ctx, t, n, producers+consumers, arg)
		if err != nil {
			return 0, err
		}
		return elapsed, verdict(n, total.Count, total.Sum)
	})
}
