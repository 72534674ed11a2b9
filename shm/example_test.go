package shm_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/fb2d3dbd/multiproc/shm"
)

// A typed view of memory that unrelated programs share: each opens the segment by its name.
func Example() {
	name := fmt.Sprint("example-", os.Getpid())
	seg, err := shm.OpenOrCreate(name, &shm.Options{Size: 4096})
	if err != nil {
		log.Fatal(err)
	}
	defer seg.Close() // the memory and its name live until the last process has closed it

	hits, err := shm.ValueAt[int64](seg, 0)
	if err != nil {
		log.Fatal(err)
	}
	n, err := shm.Add(hits, 1)
	fmt.Println(n, err)
	// Output: 1 <nil>
}

// An array in an anonymous segment: a child gets it among its start arguments.
func ExampleNewArray() {
	seg, err := shm.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer seg.Close()
	a, err := shm.NewArray[float64](seg, 3)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(a.Set(1, 2.5), a.Elems())
	// Output: <nil> [0 2.5 0]
}

// A block that CPython opens by its name: SharedMemory("psm_...") there, and the other way round.
func ExampleCreateSharedMemory() {
	m, err := shm.CreateSharedMemory("", 3*8)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Unlink()
	defer m.Close()
	a, err := shm.SliceOf[float64](m.Bytes())
	if err != nil {
		log.Fatal(err)
	}
	a.Set(1, 0.5)
	other, err := shm.OpenSharedMemory(m.Name())
	if err != nil {
		log.Fatal(err)
	}
	defer other.Close()
	b, err := shm.SliceOf[float64](other.Bytes())
	fmt.Println(b.Elems(), err)
	// Output: [0 0.5 0] <nil>
}

// A list that CPython opens as well: ShareableList(name=...) there.
func ExampleCreateShareableList() {
	l, err := shm.CreateShareableList("", "howdy", -273.154, 100, nil, true)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Unlink()
	defer l.Close()
	if err := l.Set(2, 42); err != nil {
		log.Fatal(err)
	}
	for _, v := range l.All() {
		fmt.Print(v, " ")
	}
	fmt.Println(l.Len())
	// Output: howdy -273.154 42 <nil> true 5
}

// A matrix whose rows several processes work on, each on its part.
func ExampleNewMatrix() {
	seg, err := shm.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer seg.Close()
	m, err := shm.NewMatrix[float64](seg, 2, 3)
	if err != nil {
		log.Fatal(err)
	}
	right := m.Sub(0, 1, 2, 2)
	right.Set(1, 1, 0.5)
	for i, row := range m.All() {
		fmt.Println(i, row)
	}
	// Output:
	// 0 [0 0 0]
	// 1 [0 0 0.5]
}

// A struct whose layout is checked when another program opens it.
func ExampleNewStruct() {
	seg, err := shm.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer seg.Close()
	type stats struct {
		Hits  uint64
		Ratio float64
	}
	v, err := shm.NewStruct(seg, stats{Hits: 1})
	if err != nil {
		log.Fatal(err)
	}
	v.Ptr().Ratio = 0.5
	x, err := v.Load()
	fmt.Println(x, err)
	type other struct {
		Ratio float64
		Hits  uint64
	}
	_, err = shm.OpenStruct[other](seg, v.Ref())
	fmt.Println(err != nil)
	// Output:
	// {1 0.5} <nil>
	// true
}

// A text that readers always see whole, whoever dies while writing it.
func ExampleNewText() {
	seg, err := shm.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer seg.Close()
	status, err := shm.NewText(seg, 100)
	if err != nil {
		log.Fatal(err)
	}
	err = status.Store(context.Background(), "ready")
	text, e := status.Load()
	fmt.Println(text, err, e)
	// Output: ready <nil> <nil>
}

// An object that is collected if this process dies before it is complete.
func ExampleSegment_Reserve() {
	seg, err := shm.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer seg.Close()
	ref, err := seg.Reserve(shm.KindUser, 1000)
	if err != nil {
		log.Fatal(err)
	}
	mem, err := seg.At(ref, shm.KindUser)
	if err != nil {
		log.Fatal(err)
	}
	copy(mem, "a message")
	fmt.Println(seg.Publish(ref), seg.Free(ref))
	// Output: <nil> <nil>
}
