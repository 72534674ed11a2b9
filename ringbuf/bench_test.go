package ringbuf_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// The benchmarks count messages: ns/op is the time of one, from a put to the get of the last of them. Names are key=value for
// benchstat, for example: benchstat -col /impl.

var benchSizes = []int{8, 64, 1024, 16384}

// benchRing is large enough for some messages of every size, on a mapping as processes have it.
func benchRing(b *testing.B) (*ringbuf.Producer, *ringbuf.Consumer) {
	seg := newSegment(b, ringbuf.SPSCSize(1<<18))
	_, p, c := sides(b, seg.Bytes(), in(seg), 0)
	return p, c
}

// both runs the two sides of a benchmark, put here and get in another goroutine, and waits for both.
func both(b *testing.B, put, get func() error) {
	done := make(chan error, 1)
	b.ReportAllocs()
	b.ResetTimer()
	go func() { done <- get() }()
	ok(b, put())
	ok(b, <-done)
}

// BenchmarkSPSC sends messages of every size between two goroutines by each kind of call; impl=chan sends a copy of the same
// bytes through a Go channel.
func BenchmarkSPSC(b *testing.B) {
	ctx := context.Background()
	for _, size := range benchSizes {
		msg := content(1, size)
		run := func(call, impl string, bench func(b *testing.B)) {
			b.Run(fmt.Sprintf("call=%s/size=%d/impl=%s", call, size, impl), func(b *testing.B) {
				b.SetBytes(int64(size))
				bench(b)
			})
		}
		run("put", "ring", func(b *testing.B) {
			p, c := benchRing(b)
			both(b, func() error {
				for range b.N {
					if err := p.Put(ctx, msg); err != nil {
						return err
					}
				}
				return nil
			}, func() (err error) {
				buf := make([]byte, 0, size)
				for range b.N {
					if buf, err = c.Get(ctx, buf[:0]); err != nil {
						return err
					}
				}
				return nil
			})
		})
		run("put", "chan", func(b *testing.B) {
			ch := make(chan []byte, 1<<18/ringbuf.MessageSize(size))
			both(b, func() error {
				for range b.N {
					ch <- append(make([]byte, 0, size), msg...)
				}
				return nil
			}, func() error {
				for range b.N {
					<-ch
				}
				return nil
			})
		})
		run("batch", "ring", func(b *testing.B) {
			p, c := benchRing(b)
			batch := make([][]byte, 16)
			for i := range batch {
				batch[i] = msg
			}
			both(b, func() error {
				for n := 0; n < b.N; n += len(batch) {
					if _, err := p.PutBatch(ctx, batch[:min(len(batch), b.N-n)]); err != nil {
						return err
					}
				}
				return nil
			}, func() error {
				for n := 0; n < b.N; {
					k, err := c.GetBatch(ctx, 16, func(msg []byte) error { return nil })
					if err != nil {
						return err
					}
					n += k
				}
				return nil
			})
		})
		run("lease", "ring", func(b *testing.B) {
			p, c := benchRing(b)
			both(b, func() error {
				for range b.N {
					buf, err := p.Reserve(ctx, size)
					if err != nil {
						return err
					}
					buf[0] = 1
					if err := p.Commit(size); err != nil {
						return err
					}
				}
				return nil
			}, func() error {
				for range b.N {
					if _, err := c.Peek(ctx); err != nil {
						return err
					}
					if err := c.Release(); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
}

var echoTarget = spawn.NewTarget("ringbuf-bench-echo", func(ctx context.Context, a [2]streamArg) error {
	r1, err := a[0].open()
	if err != nil {
		return err
	}
	r2, err := a[1].open()
	if err != nil {
		return err
	}
	c, err := r1.Consumer()
	if err != nil {
		return err
	}
	p, err := r2.Producer()
	if err != nil {
		return err
	}
	for msg, err := range c.All(ctx) {
		if err != nil {
			return err
		}
		if err := p.Put(ctx, msg); err != nil {
			return err
		}
	}
	return nil
})

// BenchmarkRTT sends one message of 64 bytes to another goroutine, or another process, and back.
func BenchmarkRTT(b *testing.B) {
	ctx := context.Background()
	msg := content(1, 64)
	rounds := func(b *testing.B, p *ringbuf.Producer, c *ringbuf.Consumer) {
		buf := make([]byte, 0, 64)
		b.ReportAllocs()
		for b.Loop() {
			ok(b, p.Put(ctx, msg))
			var err error
			buf, err = c.Get(ctx, buf[:0])
			ok(b, err)
		}
	}
	b.Run("peer=goroutine/impl=ring", func(b *testing.B) {
		p1, c1 := benchRing(b)
		p2, c2 := benchRing(b)
		go func() {
			for msg := range c1.All(ctx) {
				_ = p2.Put(ctx, msg)
			}
		}()
		rounds(b, p1, c2)
		ok(b, p1.Close())
	})
	b.Run("peer=goroutine/impl=chan", func(b *testing.B) {
		there, back := make(chan []byte, 1), make(chan []byte, 1)
		go func() {
			for msg := range there {
				back <- append(make([]byte, 0, 64), msg...)
			}
		}()
		b.ReportAllocs()
		for b.Loop() {
			there <- append(make([]byte, 0, 64), msg...)
			<-back
		}
		close(there)
	})
	b.Run("peer=process/impl=ring", func(b *testing.B) {
		there, back := newSegment(b, ringbuf.SPSCSize(1<<12)), newSegment(b, ringbuf.SPSCSize(1<<12))
		r1, err := ringbuf.CreateSPSC(there.Bytes(), in(there))
		ok(b, err)
		r2, err := ringbuf.CreateSPSC(back.Bytes(), in(back))
		ok(b, err)
		p, err := r1.Producer()
		ok(b, err)
		c, err := r2.Consumer()
		ok(b, err)
		child, err := echoTarget.Start(ctx, [2]streamArg{{Seg: there}, {Seg: back}}, nil)
		ok(b, err)
		ok(b, p.Put(ctx, msg)) // until the child is there
		_, err = c.Get(ctx, nil)
		ok(b, err)
		rounds(b, p, c)
		ok(b, p.Close())
		ok(b, child.Wait(ctx))
	})
}

// BenchmarkMPMC puts and takes messages of 64 bytes: one goroutine that does both, or so many producers and consumers.
func BenchmarkMPMC(b *testing.B) {
	ctx := context.Background()
	const size = 64
	msg := content(1, size)
	const places = 1 << 16 / (size + 8)
	queue := func(b *testing.B) *ringbuf.MPMC {
		q, _ := queueIn(b, ringbuf.MPMCOptions{Capacity: places, Members: 16})
		return q
	}
	b.Run("sides=uncontended/impl=queue", func(b *testing.B) {
		q := queue(b)
		buf := make([]byte, 0, size)
		b.ReportAllocs()
		for b.Loop() {
			ok(b, q.Put(ctx, msg))
			var err error
			buf, err = q.Get(ctx, buf[:0])
			ok(b, err)
		}
	})
	b.Run("sides=uncontended/impl=chan", func(b *testing.B) {
		ch := make(chan []byte, places)
		b.ReportAllocs()
		for b.Loop() {
			ch <- append(make([]byte, 0, size), msg...)
			<-ch
		}
	})
	for _, n := range []int{1, 4} {
		// share is how many messages goroutine i of n handles.
		share := func(b *testing.B, i int) int { return (b.N + i) / n }
		crowd := func(b *testing.B, put, get func() error) {
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			work := func(count int, do func() error) {
				wg.Go(func() {
					for range count {
						if err := do(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			for i := range n {
				work(share(b, i), put)
				work(share(b, i), get)
			}
			wg.Wait()
		}
		b.Run(fmt.Sprintf("sides=%dx%d/impl=queue", n, n), func(b *testing.B) {
			q := queue(b)
			pool := sync.Pool{New: func() any { return new([]byte) }}
			crowd(b, func() error { return q.Put(ctx, msg) }, func() (err error) {
				buf := pool.Get().(*[]byte)
				*buf, err = q.Get(ctx, (*buf)[:0])
				pool.Put(buf)
				return err
			})
		})
		b.Run(fmt.Sprintf("sides=%dx%d/impl=chan", n, n), func(b *testing.B) {
			ch := make(chan []byte, places)
			crowd(b, func() error { ch <- append(make([]byte, 0, size), msg...); return nil }, func() error { <-ch; return nil })
		})
	}
}
