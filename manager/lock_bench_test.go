package manager_test

import (
	"context"
	"testing"

	"github.com/fb2d3dbd/multiproc/manager"
)

// BenchmarkLocks has one client lock and unlock, and put and get: Get says that it has the value.
func BenchmarkLocks(b *testing.B) {
	for _, network := range []string{"ring", "unix"} {
		ctx := context.Background()
		m := start(b, &manager.Options{Network: network})
		mu := must[*manager.Mutex](b)(manager.NewMutex(ctx, m, nil))
		b.Run(network+"/lock-unlock", func(b *testing.B) {
			for b.Loop() {
				check(b, mu.Lock(ctx))
				check(b, mu.Unlock(ctx))
			}
		})
		q := must[*manager.Queue[int]](b)(manager.NewQueue[int](ctx, m, nil, 0))
		b.Run(network+"/put-get", func(b *testing.B) {
			for b.Loop() {
				check(b, q.Put(ctx, 1))
				if _, err := q.Get(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
		j := must[*manager.JoinableQueue[int]](b)(manager.NewJoinableQueue[int](ctx, m, nil, 0))
		b.Run(network+"/put-get-unconfirmed", func(b *testing.B) {
			for b.Loop() {
				check(b, j.Put(ctx, 1))
				if _, err := j.Get(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
