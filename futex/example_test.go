package futex_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A lock between unrelated programs: each opens the segment by its name and views the same bytes of it as the mutex. It
// survives whoever dies while holding it.
func Example() {
	name := fmt.Sprint("example-", os.Getpid())
	seg, err := shm.OpenOrCreate(name, &shm.Options{Size: 4096})
	if err != nil {
		log.Fatal(err)
	}
	defer seg.Close()

	mu, err := futex.NewMutex(seg.Bytes(), seg)
	if err != nil {
		log.Fatal(err)
	}
	err = mu.Lock(context.Background())
	if errors.Is(err, futex.ErrOwnerDied) {
		err = mu.MarkConsistent() // after mending what the dead one left half done
	}
	fmt.Println("locked:", err)
	fmt.Println("unlocked:", mu.Unlock())
	// Output:
	// locked: <nil>
	// unlocked: <nil>
}

// Goroutines of one process lock on memory of their own.
func ExampleLocal() {
	mu, err := futex.NewMutex(make([]byte, futex.MutexSize), futex.Local{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(mu.TryLock())
	fmt.Println(mu.TryLock())
	// Output:
	// <nil>
	// the lock is held
}

func ExampleWait() {
	word := new(uint32) // or a word of shared memory
	go func() {
		atomic.StoreUint32(word, 1)
		futex.Wake(word, -1)
	}()
	for atomic.LoadUint32(word) == 0 {
		if _, err := futex.Wait(context.Background(), word, 0); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("the word is", atomic.LoadUint32(word))
	// Output: the word is 1
}

func ExampleEventCount() {
	ev, err := futex.NewEventCount(make([]byte, futex.EventCountSize))
	if err != nil {
		log.Fatal(err)
	}
	var done atomic.Bool
	go func() {
		done.Store(true)
		ev.Notify(-1)
	}()
	err = ev.Await(context.Background(), func() (bool, error) { return done.Load(), nil }, nil)
	fmt.Println("done:", done.Load(), err)
	// Output: done: true <nil>
}
