package bench

import (
	"context"

	"github.com/fb2d3dbd/multiproc"
)

// batchTarget is a producer that publishes many messages at once, or a consumer that takes as many as there are.
var batchTarget = multiproc.NewTarget("bench.spsc-batch", func(ctx context.Context, m member[ringArg]) error {
	ring, err := m.Arg.open(0)
	if err != nil {
		return err
	}
	if m.Me == 0 {
		p, err := ring.Producer()
		if err != nil {
			return err
		}
		msgs := make([][]byte, batchMessages)
		for i := range msgs {
			msgs[i] = make([]byte, m.Arg.Size)
		}
		if err := m.start(ctx); err != nil {
			return err
		}
		for i := 0; i < m.N; i += batchMessages {
			part := msgs[:min(batchMessages, m.N-i)]
			for k := range part {
				stamp(part[k], i+k)
			}
			if _, err := p.PutBatch(ctx, part); err != nil {
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
	got := make([]byte, m.Arg.Size)
	var sum uint64
	count := 0
	take := func(msg []byte) error {
		number, err := numberOf(got[:copy(got, msg)])
		if err != nil || number != uint64(count) {
			return errTorn
		}
		sum += number
		count++
		return nil
	}
	for count < m.N {
		if _, err := c.GetBatch(ctx, batchMessages, take); err != nil {
			return err
		}
	}
	return m.done(ctx, count, sum)
})

func multiprocBatch(size int) Impl { return multiprocRing(batchTarget, size) }
