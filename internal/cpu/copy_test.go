package cpu_test

import (
	"bytes"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
)

// TestCopy copies sizes around those where the way of copying changes, from and to every alignment in a line, and looks at what stands around it.
func TestCopy(t *testing.T) {
	const guard = 64
	src := make([]byte, 1<<17)
	for i := range src {
		src[i] = byte(i*7 + i>>8)
	}
	dst := make([]byte, len(src)+3*guard)
	for _, n := range []int{0, 1, 63, 64, 65, 4095, 4096, 4097, 4160, 65536} {
		for from := range 64 {
			to := from * 37 % 64
			clear(dst)
			room := dst[guard+to:][:n+from%3]
			if got := cpu.Copy(room, src[from:][:n]); got != n {
				t.Fatalf("copied %d of %d bytes", got, n)
			}
			if !bytes.Equal(room[:n], src[from:][:n]) {
				t.Fatalf("%d bytes from %d to %d came as others", n, from, to)
			}
			if i := bytes.IndexFunc(dst[:guard+to], notZero); i >= 0 {
				t.Fatalf("%d bytes from %d to %d: wrote before them", n, from, to)
			}
			if i := bytes.IndexFunc(dst[guard+to+n:][:guard], notZero); i >= 0 {
				t.Fatalf("%d bytes from %d to %d: wrote behind them", n, from, to)
			}
		}
	}
	if got := cpu.Copy(dst[:5000], src); got != 5000 || !bytes.Equal(dst[:5000], src[:5000]) {
		t.Fatalf("copied %d bytes into room for 5000", got)
	}
}

func notZero(r rune) bool { return r != 0 }
