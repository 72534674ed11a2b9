package ringbuf_test

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/fb2d3dbd/multiproc/ringbuf"
)

func BenchmarkSPSC(b *testing.B) {
	for _, size := range []int{8, 64, 1024} {
		b.Run(string(rune('0'+size/64)), func(b *testing.B) {
			mem := make([]byte, ringbuf.SPSCSize(1<<16+8192))
			r, err := ringbuf.CreateSPSC(mem, nil)
			if err != nil {
				b.Fatal(err)
			}
			p, _ := r.Producer()
			c, _ := r.Consumer()
			ctx := context.Background()
			done := make(chan error, 1)
			go func() {
				buf := make([]byte, 0, size)
				for i := 0; i < b.N; i++ {
					var err error
					buf, err = c.Get(ctx, buf[:0])
					if err != nil || binary.LittleEndian.Uint64(buf) != uint64(i) {
						done <- err
						return
					}
				}
				done <- nil
			}()
			msg := make([]byte, size)
			for i := 0; i < b.N; i++ {
				binary.LittleEndian.PutUint64(msg, uint64(i))
				if err := p.Put(ctx, msg); err != nil {
					b.Fatal(err)
				}
			}
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkMPMCUncontended(b *testing.B) {
	mem := make([]byte, ringbuf.MPMCSize(1<<16))
	q, _ := ringbuf.CreateMPMC(mem, nil)
	ctx := context.Background()
	msg := make([]byte, 64)
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		if err := q.Put(ctx, msg); err != nil {
			b.Fatal(err)
		}
		if _, err := q.Get(ctx, buf); err != nil {
			b.Fatal(err)
		}
	}
}
