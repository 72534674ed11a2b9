package multiproc_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// pipedSizes are messages that stand in a slot, in the pipe's arena, and in a block of their own.
var pipedSizes = []int{10, 3000, 200 << 10}

// streamed is message i of a stream.
func streamed(i int) []byte {
	return bytes.Repeat(binary.LittleEndian.AppendUint64(nil, uint64(i)), 1+pipedSizes[i%len(pipedSizes)]/8)
}

func stream(ctx context.Context, end *multiproc.PipeEnd) error {
	for i := 0; ; i++ {
		if err := end.SendBytes(ctx, streamed(i)); err != nil {
			return err
		}
	}
}

// echoed sends messages of every size and wants them back.
func echoed(ctx context.Context, a *multiproc.PipeEnd) error {
	for i := range 3 * len(pipedSizes) {
		if err := a.SendBytes(ctx, streamed(i)); err != nil {
			return err
		}
		if msg, err := a.RecvBytes(ctx); err != nil || !bytes.Equal(msg, streamed(i)) {
			return fmt.Errorf("message %d came back with %d bytes, %w", i, len(msg), err)
		}
	}
	return nil
}

// orphaned kills who has the other end, and wants what it sent, whole and in order, then the end, and then an error.
func orphaned(ctx context.Context, a *multiproc.PipeEnd, p *multiproc.Process) error {
	for i := 0; ; i++ {
		if i == 2*len(pipedSizes) {
			if err := p.Kill(); err != nil {
				return err
			}
		}
		msg, err := a.RecvBytes(ctx)
		if errors.Is(err, io.EOF) && i >= 2*len(pipedSizes) {
			break
		}
		if err != nil || !bytes.Equal(msg, streamed(i)) {
			return fmt.Errorf("message %d came with %d bytes, %w", i, len(msg), err)
		}
	}
	<-p.Done()
	if !a.Writable() {
		return nil
	}
	for { // what was on its way before the death was noticed may go through
		if err := a.SendBytes(ctx, nil); err != nil {
			if errors.Is(err, multiproc.ErrPeerClosed) {
				return nil
			}
			return err
		}
	}
}

// pipedForks has copies of a program talk to it: each closes the end that is not its own, as after a fork everywhere.
var pipedForks = proctest.NewProgram("piped-forks", func() int {
	multiproc.Init()
	ctx := context.Background()
	fork := func(mine, its *multiproc.PipeEnd, fn func(context.Context, *multiproc.PipeEnd) error) *multiproc.Process {
		p, err := multiproc.ForkFunc(ctx, func(ctx context.Context) error {
			if err := mine.Close(); err != nil {
				return err
			}
			return fn(ctx, its)
		}, nil)
		if err == nil {
			err = its.Close()
		}
		if err != nil {
			panic(err)
		}
		return p
	}
	pair := func(duplex bool) (a, b *multiproc.PipeEnd) {
		a, b, err := multiproc.Pipe(duplex)
		if err != nil {
			panic(err)
		}
		return a, b
	}
	for end := range 2 { // the copy has the second end, or the first
		a, b := pair(true)
		if end == 1 {
			a, b = b, a
		}
		p := fork(a, b, sendBack)
		fmt.Println(echoed(ctx, a), a.Close(), p.Wait(ctx))
	}
	for _, duplex := range []bool{true, false} {
		a, b := pair(duplex)
		p := fork(a, b, stream)
		fmt.Println(orphaned(ctx, a, p), a.Close())
	}
	// It only reads, and is killed: who sends is told, also when it waits for room.
	r, w := pair(false)
	p := fork(w, r, func(ctx context.Context, r *multiproc.PipeEnd) error {
		if _, err := r.RecvBytes(ctx); err != nil {
			return err
		}
		select {}
	})
	var err error
	for i := 0; err == nil; i++ {
		if i == 10 {
			_ = p.Kill() // it has not ended
		}
		err = w.SendBytes(ctx, streamed(i))
	}
	fmt.Println(errors.Is(err, multiproc.ErrPeerClosed), w.Close())

	// Two copies share an end: the death of the one is not the end of the pipe.
	a, b := pair(true)
	copies := make([]*multiproc.Process, 2)
	for i := range copies {
		if copies[i], err = multiproc.ForkFunc(ctx, func(ctx context.Context) error {
			if err := a.Close(); err != nil {
				return err
			}
			return sendBack(ctx, b)
		}, nil); err != nil {
			panic(err)
		}
	}
	fmt.Println(b.Close(), echoed(ctx, a))
	_ = copies[0].Kill()
	<-copies[0].Done()
	fmt.Println(echoed(ctx, a), a.Close(), copies[1].Wait(ctx))
	return 0
})

func TestPipeForkFunc(t *testing.T) {
	const want = `<nil> <nil> <nil>
<nil> <nil> <nil>
<nil> <nil>
<nil> <nil>
true <nil>
<nil> <nil>
<nil> <nil> <nil>
`
	if got := quietly(t, pipedForks); got != want {
		t.Errorf("the program printed\n%s\nwant\n%s", got, want)
	}
}

type piped struct {
	End    *multiproc.PipeEnd
	Echoes bool
}

var pipedTarget = multiproc.NewTarget("piped", func(ctx context.Context, p piped) error {
	if p.Echoes {
		return sendBack(ctx, p.End)
	}
	return stream(ctx, p.End)
})

// TestPipeMethods gives an end to a process started by each method: messages of every size there and back, the end of the pipe when it is closed here, and the end here
// when the process is killed.
func TestPipeMethods(t *testing.T) {
	for _, m := range []multiproc.StartMethod{multiproc.Spawn, multiproc.ForkServer, multiproc.Fork} {
		t.Run(string(m), func(t *testing.T) {
			ctx := proctest.Context(t)
			o := &multiproc.ProcessOptions{Method: m, AllowForkall: m == multiproc.Fork}
			if err := m.Available(); err != nil {
				t.Skip(err)
			}
			for end := range 2 {
				a, b := newPipe(t, true)
				if end == 1 {
					a, b = b, a
				}
				p := start(t, pipedTarget, piped{b, true}, o)
				check(t, b.Close())
				check(t, echoed(ctx, a))
				check(t, a.Close())
				if m == multiproc.Fork {
					kill(t, p) // it has a copy of a, too, and sees no end of it
				} else {
					wait(t, p)
				}
			}
			for _, duplex := range []bool{true, false} {
				a, b := newPipe(t, duplex)
				p := start(t, pipedTarget, piped{b, false}, o)
				check(t, b.Close())
				check(t, orphaned(ctx, a, p))
			}
		})
	}
}
