package ringbuf_test

import (
	"context"
	"fmt"

	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// A ring alone, on memory of one's own, between goroutines.
func Example() {
	ctx := context.Background()
	ring, _ := ringbuf.CreateSPSC(make([]byte, ringbuf.SPSCSize(4096)), nil)
	p, _ := ring.Producer()
	c, _ := ring.Consumer()
	go func() { _ = p.Put(ctx, []byte("hello")); _ = p.Close() }()
	for msg := range c.All(ctx) {
		fmt.Printf("%s\n", msg)
	}
	// Output: hello
}

// The child's side of a ring between two processes.
var sender = spawn.NewTarget("ringbuf-example-sender", func(ctx context.Context, seg *shm.Segment) error {
	ring, err := ringbuf.OpenSPSC(seg.Bytes(), &ringbuf.SPSCOptions{Participants: seg})
	if err != nil {
		return err
	}
	p, err := ring.Producer()
	if err != nil {
		return err
	}
	if err := p.Put(ctx, []byte("hello from the child")); err != nil {
		return err
	}
	return p.Close()
})

// A ring between two processes stands in a segment, which also tells each side when the other has died. The program calls
// spawn.Init first in main.
func Example_processes() {
	ctx := context.Background()
	seg, err := shm.New(&shm.Options{Size: ringbuf.SPSCSize(4096)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer seg.Close()
	ring, err := ringbuf.CreateSPSC(seg.Bytes(), &ringbuf.SPSCOptions{Participants: seg})
	if err != nil {
		fmt.Println(err)
		return
	}
	child, err := sender.Start(ctx, seg, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := ring.Consumer()
	if err != nil {
		fmt.Println(err)
		return
	}
	for msg, err := range c.All(ctx) {
		fmt.Printf("%s %v\n", msg, err)
	}
	fmt.Println(child.Wait(ctx))
	// Output:
	// hello from the child <nil>
	// <nil>
}

// Reserve and Peek work in the ring's own memory: nothing is copied.
func ExampleProducer_Reserve() {
	ctx := context.Background()
	ring, _ := ringbuf.CreateSPSC(make([]byte, ringbuf.SPSCSize(4096)), nil)
	p, _ := ring.Producer()
	c, _ := ring.Consumer()

	buf, _ := p.Reserve(ctx, 100)               // room for up to 100 bytes
	n := copy(buf, "written in place")          //
	_ = p.Commit(n)                             // now the consumer sees it
	msg, _ := c.Peek(ctx)                       // valid until Release
	fmt.Printf("%s, %d bytes\n", msg, len(msg)) //
	_ = c.Release()
	// Output: written in place, 16 bytes
}

// A queue for many producers and many consumers.
func ExampleMPMC() {
	ctx := context.Background()
	size, _ := ringbuf.MPMCSize(nil)
	q, _ := ringbuf.CreateMPMC(make([]byte, size), nil)
	done := make(chan int)
	for range 4 {
		go func() {
			n := 0
			for {
				if _, err := q.Get(ctx, nil); err != nil {
					break // ringbuf.ErrClosed
				}
				n++
			}
			done <- n
		}()
	}
	for i := range 100 {
		_ = q.Put(ctx, fmt.Appendf(nil, "job %d", i))
	}
	_ = q.Close() // what is there is still taken
	fmt.Println(<-done + <-done + <-done + <-done)
	// Output: 100
}
