package cpu_test

import (
	"runtime"
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
	var w [3]uint32
	cpu.StoreRelease32(&w[1], ^uint32(0)-5)
	if w != [3]uint32{0, ^uint32(0) - 5, 0} {
		t.Fatalf("stored %x", w)
	}
}

func TestPauseReturns(t *testing.T) {
	for _, n := range []uint32{0, 1, 1000} {
		cpu.Pause(n)
	}
}

// What is asked for stays what it was, also where the last line ends with the memory.
func TestFetchForStore(t *testing.T) {
	mem := make([]byte, 4<<10)
	for i := range mem {
		mem[i] = byte(i)
	}
	for _, n := range []uint64{0, 1, 64, 65, 4 << 10} {
		cpu.FetchForStore(&mem[0], n)
		cpu.FetchForStore(&mem[len(mem)-1], n)
	}
	for i, b := range mem {
		if b != byte(i) {
			t.Fatalf("byte %d is %d", i, b)
		}
	}
}

// until returns when *word is at least v. It lets others run now and then: with one processor, who is waited for cannot else.
func until(word *uint64, v uint64) {
	for spins := 1; atomic.LoadUint64(word) < v; spins++ {
		cpu.Pause(1)
		if spins%64 == 0 {
			runtime.Gosched()
		}
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
			until(&flag, i)
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
		until(&ack, i)
	}
	if bad := <-done; bad != 0 {
		t.Fatalf("%d of %d publications showed old data", bad, rounds)
	}
}
