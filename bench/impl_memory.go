package bench

import (
	"context"
	"errors"
	"time"

	"github.com/fb2d3dbd/multiproc/shm"
)

const (
	elements    = 4096    // of the array whose elements are read and written: 32 KiB, a CPU's first cache
	stride      = 7       // from one element to the next, so that no loop is made of whole lines; it reaches all of them
	segmentSize = 1 << 20 // bytes of a segment that is made and dropped
)

// inBlocks does n operations in blocks of elements: write sets count of them to the numbers from from on, read adds them up.
func inBlocks[M any](ctx context.Context, n int, mem M, write func(mem M, from, count int), read func(mem M, count int) uint64) (time.Duration, error) {
	var sum uint64
	begin := time.Now()
	for from := 0; from < n; from += elements {
		if ctx.Err() != nil {
			return 0, stopped(ctx)
		}
		count := min(elements, n-from)
		write(mem, from, count)
		sum += read(mem, count)
	}
	elapsed := time.Since(begin)
	return elapsed, verdict(n, n, sum)
}

// multiprocElement reads and writes an array in a segment through its view.
func multiprocElement() Impl {
	return multiprocImpl(func(ctx context.Context, n int) (elapsed time.Duration, err error) {
		s, err := shm.New(&shm.Options{Arena: 1 << 20})
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		a, err := shm.NewArray[uint64](s, elements)
		if err != nil {
			return 0, err
		}
		return inBlocks(ctx, n, a.Slice(), writeView, readView)
	})
}

// The loops are functions of their own: in closures of closures the compiler calls what it puts in place here, At and Set.

func writeView(view shm.Slice[uint64], from, count int) {
	for i := range count {
		view.Set(i*stride%elements, uint64(from+i))
	}
}

func readView(view shm.Slice[uint64], count int) (sum uint64) {
	for i := range count {
		sum += view.At(i * stride % elements)
	}
	return sum
}

// goroutineElement does the same with a slice.
func goroutineElement() Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		return inBlocks(ctx, n, make([]uint64, elements), writeSlice, readSlice)
	})
}

func writeSlice(plain []uint64, from, count int) {
	for i := range count {
		plain[i*stride%elements] = uint64(from + i)
	}
}

func readSlice(plain []uint64, count int) (sum uint64) {
	for i := range count {
		sum += plain[i*stride%elements]
	}
	return sum
}

// timed does one thing n times.
func timed(ctx context.Context, n int, one func() error) (time.Duration, error) {
	begin := time.Now()
	for i := range n {
		if err := one(); err != nil {
			return 0, err
		}
		if i%checkEvery == 0 && ctx.Err() != nil {
			return 0, stopped(ctx)
		}
	}
	return time.Since(begin), nil
}

// multiprocSegment makes segments and drops them.
func multiprocSegment() Impl {
	return multiprocImpl(func(ctx context.Context, n int) (time.Duration, error) {
		return timed(ctx, n, func() error {
			s, err := shm.New(&shm.Options{Size: segmentSize})
			if err != nil {
				return err
			}
			s.Bytes()[0] = 1
			return s.Close()
		})
	})
}

// garbage keeps the compiler from putting the slices of goroutineSegment on the stack, or leaving them out.
var garbage []byte

// goroutineSegment makes slices for the garbage collector.
func goroutineSegment() Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		defer func() { garbage = nil }()
		return timed(ctx, n, func() error {
			garbage = make([]byte, segmentSize)
			garbage[0] = 1
			return nil
		})
	})
}
