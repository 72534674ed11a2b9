package cpu_test

import (
	"sync/atomic"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/cpu"
)

func TestStoreRelease(t *testing.T) {
	var v [3]uint64
	cpu.StoreRelease64(&v[1], ^uint64(0)-5)
	if v != [3]uint64{0, ^uint64(0) - 5, 0} {
		t.Fatalf("stored %x", v)
	}
}

func TestPauseReturns(t *testing.T) {
	for _, n := range []uint32{0, 1, 1000} {
		cpu.Pause(n)
	}
}

// TestPublication is the message-passing litmus test: data written before the release store is there for whoever loads
// the flag.
func TestPublication(t *testing.T) {
	const rounds = 20000
	var data, flag, ack uint64
	done := make(chan uint64)
	go func() {
		var bad uint64
		for i := uint64(1); i <= rounds; i++ {
			for atomic.LoadUint64(&flag) < i {
				cpu.Pause(1)
			}
			if atomic.LoadUint64(&data) != i*7 {
				bad++
			}
			cpu.StoreRelease64(&ack, i)
		}
		done <- bad
	}()
	for i := uint64(1); i <= rounds; i++ {
		atomic.StoreUint64(&data, i*7)
		cpu.StoreRelease64(&flag, i)
		for atomic.LoadUint64(&ack) < i {
			cpu.Pause(1)
		}
	}
	if bad := <-done; bad != 0 {
		t.Fatalf("%d of %d publications showed old data", bad, rounds)
	}
}
