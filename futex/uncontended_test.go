package futex_test

import (
	"testing"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/shm"
)

// BenchmarkUncontended takes a lock that nobody else wants, counts, and gives it back.
func BenchmarkUncontended(b *testing.B) {
	seg, err := shm.New(&shm.Options{Size: 128})
	ok(b, err)
	defer seg.Close()
	m, err := futex.NewMutex(seg.Bytes(), seg)
	ok(b, err)
	count := wordAt(seg.Bytes(), 64)
	ctx := b.Context()
	for b.Loop() {
		ok(b, m.Lock(ctx))
		*count++
		ok(b, m.Unlock())
	}
}
