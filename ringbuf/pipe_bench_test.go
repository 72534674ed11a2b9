package ringbuf_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// BenchmarkPipe sends messages from one goroutine to another through a pipe.
func BenchmarkPipe(b *testing.B) {
	ctx := context.Background()
	for _, size := range []int{64, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			_, x, y := pipeSegment(b, ringbuf.PipeOptions{})
			b.SetBytes(int64(size))
			done := make(chan error)
			go func() {
				msg := make([]byte, size)
				for range b.N {
					if err := x.Put(ctx, msg); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
			buf := make([]byte, 0, size)
			for range b.N {
				if _, err := y.Get(ctx, buf); err != nil {
					b.Fatal(err)
				}
			}
			ok(b, <-done)
		})
	}
}
