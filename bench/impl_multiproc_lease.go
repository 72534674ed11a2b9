package bench

import (
	"context"
	"os"
	"runtime"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A leaseArg is a queue of messages of one size, in a segment.
type leaseArg struct {
	Segment *shm.Segment
	Size    int // of a message
}

func newLease(size int) (leaseArg, error) {
	o := ringbuf.MPMCOptions{Capacity: queueMessages(size), Spares: queueMessages(size), MessageSize: size, Zeroed: true}
	need, err := ringbuf.MPMCSize(&o)
	if err != nil {
		return leaseArg{}, err
	}
	seg, err := shm.New(&shm.Options{Size: need, Arena: 0})
	if err != nil {
		return leaseArg{}, err
	}
	o.Participants = seg
	if _, err := ringbuf.CreateMPMC(seg.Bytes()[:need], &o); err != nil {
		seg.Close()
		return leaseArg{}, err
	}
	return leaseArg{Segment: seg, Size: size}, nil
}

// open opens the queue, and brings its pages into this process's page tables.
func (a leaseArg) open() (*ringbuf.MPMC, error) {
	mem := a.Segment.Bytes()
	touch(mem)
	return ringbuf.OpenMPMC(mem, &ringbuf.MPMCOptions{Participants: a.Segment})
}

// touch reads a byte of each page.
func touch(mem []byte) {
	var sum byte
	for at := 0; at < len(mem); at += os.Getpagesize() {
		sum += mem[at]
	}
	runtime.KeepAlive(sum)
}

// leaseTarget writes and reads messages where they stand in the queue: nothing of them is copied.
var leaseTarget = multiproc.NewTarget("bench.lease", func(ctx context.Context, m member[leaseArg]) error {
	q, err := m.Arg.open()
	if err != nil {
		return err
	}
	if err := m.start(ctx); err != nil {
		return err
	}
	if m.Me == 0 {
		for i := range m.N {
			r, err := q.Reserve(ctx, m.Arg.Size)
			if err != nil {
				return err
			}
			stamp(r.Bytes(), i)
			if err := r.Commit(ctx, m.Arg.Size); err != nil {
				return err
			}
		}
		return m.sent(ctx)
	}
	var sum uint64
	for i := range m.N {
		d, err := q.Receive(ctx)
		if err != nil {
			return err
		}
		number, err := numberOf(d.Bytes())
		if err != nil || number != uint64(i) || len(d.Bytes()) != m.Arg.Size {
			return errTorn
		}
		if err := d.Ack(); err != nil {
			return err
		}
		sum += number
	}
	return m.done(ctx, m.N, sum)
})

func multiprocLease(size int) Impl {
	return multiprocImpl(func(ctx context.Context, n int) (time.Duration, error) {
		arg, err := newLease(size)
		if err != nil {
			return 0, err
		}
		defer arg.Segment.Close()
		elapsed, total, err := runCrew(ctx, leaseTarget, n, 2, arg)
		if err != nil {
			return 0, err
		}
		return elapsed, verdict(n, total.Count, total.Sum)
	})
}
