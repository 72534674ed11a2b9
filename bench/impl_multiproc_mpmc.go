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

func newMPMC(producers, capacity int) (mpmcArg, error) {
	q, err := multiproc.NewQueue[[8]uint64](&multiproc.QueueOptions{Capacity: capacity})
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

// multiprocMPMC copies small messages as they stand in memory, and others as bytes.
func multiprocMPMC(producers, consumers, size, capacity int) Impl {
	if size != 64 {
		return multiprocBytes(producers, consumers, size, capacity)
	}
	return multiprocQueue(mpmcTarget, producers, consumers, capacity)
}

// A bytesArg is a queue of messages of one size, and how many of the processes are producers.
type bytesArg struct {
	Queue           *multiproc.Queue[[]byte]
	Producers, Size int
}

var bytesTarget = multiproc.NewTarget("bench.bytes", func(ctx context.Context, m member[bytesArg]) error {
	queue, producers := m.Arg.Queue, m.Arg.Producers
	if err := m.start(ctx); err != nil {
		return err
	}
	if m.Me < producers {
		msg := make([]byte, m.Arg.Size)
		for i := range shareOf(m.N, producers, m.Me) {
			stamp(msg, m.Me+i*producers)
			if err := queue.Put(ctx, msg); err != nil {
				return err
			}
		}
		return m.sent(ctx)
	}
	var sum uint64
	mine := shareOf(m.N, m.Parts-producers, m.Me-producers)
	msg := make([]byte, m.Arg.Size)
	for range mine {
		n, err := multiproc.GetInto(ctx, queue, msg)
		if err != nil {
			return err
		}
		number, err := numberOf(msg)
		if err != nil || n != len(msg) {
			return errTorn
		}
		sum += number
	}
	return m.done(ctx, mine, sum)
})

func multiprocBytes(producers, consumers, size, capacity int) Impl {
	return multiprocImpl(func(ctx context.Context, n int) (time.Duration, error) {
		// Room for those that wait, and for those that are put or taken meanwhile.
		room := 2 * (capacity + producers + consumers) * size
		q, err := multiproc.NewQueue[[]byte](&multiproc.QueueOptions{Capacity: capacity, Bytes: room})
		if err != nil {
			return 0, err
		}
		defer q.Free()
		elapsed, total, err := runCrew(ctx, bytesTarget, n, producers+consumers, bytesArg{q, producers, size})
		if err != nil {
			return 0, err
		}
		return elapsed, verdict(n, total.Count, total.Sum)
	})
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

func multiprocSolo() Impl { return multiprocQueue(soloTarget, 1, 0, queueMessages(64)) }

func multiprocQueue(t *multiproc.Target[member[mpmcArg]], producers, consumers, capacity int) Impl {
	return multiprocImpl(func(ctx context.Context, n int) (time.Duration, error) {
		arg, err := newMPMC(producers, capacity)
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
