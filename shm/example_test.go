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
	defer shm.Remove(name) // the example leaves nothing; a program keeps the name
	defer seg.Close()

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
