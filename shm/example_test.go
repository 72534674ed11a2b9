package shm_test

import (
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
	fmt.Println(a.Set(1, 2.5), a.Slice())
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
	a[1] = 0.5
	other, err := shm.OpenSharedMemory(m.Name())
	if err != nil {
		log.Fatal(err)
	}
	defer other.Close()
	b, err := shm.SliceOf[float64](other.Bytes())
	fmt.Println(b, err)
	// Output: [0 0.5 0] <nil>
}

// A list that CPython opens as well: ShareableList(name=...) there.
func ExampleNewShareableList() {
	l, err := shm.NewShareableList("", "howdy", -273.154, 100, nil, true)
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
