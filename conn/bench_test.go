package conn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/fb2d3dbd/multiproc/conn"
)

// BenchmarkConnect is an authenticated connection made, accepted and closed.
func BenchmarkConnect(b *testing.B) {
	for _, network := range []string{"unix", "unixpacket", "tcp"} {
		b.Run(network, func(b *testing.B) {
			ctx, key := context.Background(), []byte("secret")
			l := must(conn.Listen(network, "", &conn.ListenOptions{Key: key}))(b)
			defer l.Close()
			go func() {
				for {
					c, err := l.Accept(ctx)
					if err != nil {
						return
					}
					_ = c.Close()
				}
			}()
			for b.Loop() {
				c, err := conn.Dial(ctx, network, l.Addr().String(), &conn.DialOptions{Key: key})
				check(b, err)
				if _, err := c.RecvBytes(ctx); !errors.Is(err, io.EOF) {
					b.Fatal(err)
				}
				check(b, c.Close())
			}
		})
	}
}

// BenchmarkEcho is a message to another goroutine and back.
func BenchmarkEcho(b *testing.B) {
	for _, k := range kinds(b)[:3] {
		for _, n := range []int{64, 64 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%d", k.name, n), func(b *testing.B) {
				ctx := context.Background()
				x, y := k.make(b)
				defer x.Close()
				go func() {
					defer y.Close()
					buf := make([]byte, n)
					for {
						if _, err := y.RecvInto(ctx, buf); err != nil {
							return
						}
						if err := y.SendBytes(ctx, buf); err != nil {
							return
						}
					}
				}()
				buf := make([]byte, n)
				b.SetBytes(int64(2 * n))
				b.ReportAllocs()
				for b.Loop() {
					check(b, x.SendBytes(ctx, buf))
					must(x.RecvInto(ctx, buf))(b)
				}
			})
		}
	}
}
