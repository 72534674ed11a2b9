package bench

import (
	"context"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A ringArg is one ring, or two of the same size one after the other, in a segment.
type ringArg struct {
	Segment *shm.Segment
	Size    int // of a message
}

// newRings makes count rings for messages of size bytes.
func newRings(count, size int) (ringArg, error) {
	each := ringbuf.SPSCSize(queueBytes(size))
	seg, err := shm.New(&shm.Options{Size: count * each, Arena: 0})
	if err != nil {
		return ringArg{}, err
	}
	for i := range count {
		if _, err := ringbuf.CreateSPSC(seg.Bytes()[i*each:][:each], &ringbuf.SPSCOptions{Participants: seg}); err != nil {
			seg.Close()
			return ringArg{}, err
		}
	}
	return ringArg{Segment: seg, Size: size}, nil
}

// open opens ring i, and brings its pages into this process's page tables.
func (a ringArg) open(i int) (*ringbuf.SPSC, error) {
	each := ringbuf.SPSCSize(queueBytes(a.Size))
	mem := a.Segment.Bytes()[i*each:][:each]
	touch(mem)
	return ringbuf.OpenSPSC(mem, &ringbuf.SPSCOptions{Participants: a.Segment})
}

var spscTarget = multiproc.NewTarget("bench.spsc", func(ctx context.Context, m member[ringArg]) error {
	ring, err := m.Arg.open(0)
	if err != nil {
		return err
	}
	msg := make([]byte, m.Arg.Size)
	if m.Me == 0 {
		p, err := ring.Producer()
		if err != nil {
			return err
		}
		if err := m.start(ctx); err != nil {
			return err
		}
		for i := range m.N {
			stamp(msg, i)
			if err := p.Put(ctx, msg); err != nil {
				return err
			}
		}
		return m.sent(ctx)
	}
	c, err := ring.Consumer()
	if err != nil {
		return err
	}
	if err := m.start(ctx); err != nil {
		return err
	}
	var sum uint64
	for i := range m.N {
		if msg, err = c.Get(ctx, msg[:0]); err != nil {
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

func multiprocSPSC(size int) Impl { return multiprocRing(spscTarget, size) }

// multiprocRing runs a target in the two processes at a ring.
func multiprocRing(t *multiproc.Target[member[ringArg]], size int) Impl {
	return multiprocImpl(func(ctx context.Context, n int) (time.Duration, error) {
		arg, err := newRings(1, size)
		if err != nil {
			return 0, err
		}
		defer arg.Segment.Close()
		elapsed, total, err := runCrew(ctx, t, n, 2, arg)
		if err != nil {
			return 0, err
		}
		return elapsed, verdict(n, total.Count, total.Sum)
	})
}

var rttTarget = multiproc.NewTarget("bench.rtt", func(ctx context.Context, m member[ringArg]) error {
	there, err := m.Arg.open(m.Me)
	if err != nil {
		return err
	}
	back, err := m.Arg.open(1 - m.Me)
	if err != nil {
		return err
	}
	p, err := there.Producer()
	if err != nil {
		return err
	}
	c, err := back.Consumer()
	if err != nil {
		return err
	}
	msg := make([]byte, m.Arg.Size)
	if err := m.start(ctx); err != nil {
		return err
	}
	if m.Me == 1 {
		for range m.N {
			if msg, err = c.Get(ctx, msg[:0]); err != nil {
				return err
			}
			if err := p.Put(ctx, msg); err != nil {
				return err
			}
		}
		return m.sent(ctx)
	}
	var sum uint64
	for i := range m.N {
		stamp(msg, i)
		if err := p.Put(ctx, msg); err != nil {
			return err
		}
		if msg, err = c.Get(ctx, msg[:0]); err != nil {
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

func multiprocRTT() Impl {
	return multiprocImpl(func(ctx context.Context, n int) (time.Duration, error) {
		arg, err := newRings(2, 64)
		if err != nil {
			return 0, err
		}
		defer arg.Segment.Close()
		elapsed, total, err := runCrew(ctx, rttTarget, n, 2, arg)
		if err != nil {
			return 0, err
		}
		return elapsed, verdict(n, total.Count, total.Sum)
	})
}
