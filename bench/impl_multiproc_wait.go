package bench

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/futex"
)

// A handover is a place where one process leaves a message for another that sleeps until it comes.
type handover struct {
	Word    uint32 // number of messages handed over, modulo 2^32
	_       [124]byte
	Payload [64]byte
	_       [64]byte
}

func (h *handover) put(msg []byte) error {
	copy(h.Payload[:], msg)
	atomic.AddUint32(&h.Word, 1)
	_, err := futex.Wake(&h.Word, 1)
	return err
}

// take sleeps until the word is no longer seen, without a look ahead of the sleep but the kernel's own.
func (h *handover) take(ctx context.Context, seen uint32, msg []byte) error {
	for atomic.LoadUint32(&h.Word) == seen {
		if _, err := futex.Wait(ctx, &h.Word, seen); err != nil {
			return err
		}
	}
	copy(msg, h.Payload[:])
	return nil
}

var handoverTarget = multiproc.NewTarget("bench.handover", func(ctx context.Context, m member[*multiproc.Array[handover]]) error {
	slots := m.Arg.Shared().Elems()
	there, back := &slots[0], &slots[1]
	msg := make([]byte, len(there.Payload))
	if err := m.start(ctx); err != nil {
		return err
	}
	if m.Me == 1 {
		for i := range m.N {
			if err := there.take(ctx, uint32(i), msg); err != nil {
				return err
			}
			if err := back.put(msg); err != nil {
				return err
			}
		}
		return m.sent(ctx)
	}
	var sum uint64
	for i := range m.N {
		stamp(msg, i)
		if err := there.put(msg); err != nil {
			return err
		}
		if err := back.take(ctx, uint32(i), msg); err != nil {
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

func multiprocHandover() Impl {
	return multiprocImpl(func(ctx context.Context, n int) (time.Duration, error) {
		slots, err := multiproc.NewArray[handover](2)
		if err != nil {
			return 0, err
		}
		defer slots.Free()
		elapsed, total, err := runCrew(ctx, handoverTarget, n, 2, slots)
		if err != nil {
			return 0, err
		}
		return elapsed, verdict(n, total.Count, total.Sum)
	})
}
