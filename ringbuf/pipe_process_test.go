package ringbuf_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

type pipeArg struct {
	Seg    *shm.Segment
	Sender uint64 // 0: it receives
	N      int
	End    int
}

func (a pipeArg) open() (*ringbuf.PipeEnd, error) {
	return ringbuf.OpenPipe(a.Seg.Bytes(), a.End, pipeIn(a.Seg))
}

var pipeTarget = spawn.NewTarget("pipe", func(ctx context.Context, a pipeArg) error {
	e, err := a.open()
	if err != nil {
		return err
	}
	return sendMany(ctx, e, a.Sender, a.N)
})

// pipeMessage is message seq of a sender: most are small, some stand in the arena, few get a block.
func pipeMessage(sender, seq uint64) []byte {
	size := 16 + int(seq*37%300)
	switch {
	case seq%50 == 0:
		size = 20 << 10
	case seq%200 == 1:
		size = 150 << 10
	}
	msg := make([]byte, size)
	binary.LittleEndian.PutUint64(msg, sender)
	binary.LittleEndian.PutUint64(msg[8:], seq)
	for rest := msg[16:]; len(rest) > 0; {
		rest = rest[copy(rest, content(sender*1000003+seq, 20<<10)):]
	}
	return msg
}

// addPipe takes note of a message, as add does.
func (c tally) addPipe(msg []byte) error {
	if len(msg) < 16 {
		return fmt.Errorf("a message of %d bytes", len(msg))
	}
	sender, seq := binary.LittleEndian.Uint64(msg), binary.LittleEndian.Uint64(msg[8:])
	if !bytes.Equal(msg, pipeMessage(sender, seq)) {
		return fmt.Errorf("message %d of sender %d, of %d bytes, has other bytes than were sent", seq, sender, len(msg))
	}
	if got := c[sender]; len(got) > 0 && got[len(got)-1] >= seq {
		return fmt.Errorf("message %d of sender %d came after %d", seq, sender, got[len(got)-1])
	}
	c[sender] = append(c[sender], seq)
	return nil
}

func sendMany(ctx context.Context, e *ringbuf.PipeEnd, sender uint64, n int) error {
	for seq := 1; seq <= n; seq++ {
		if err := e.Put(ctx, pipeMessage(sender, uint64(seq))); err != nil {
			return err
		}
	}
	return nil
}

// TestPipeProcesses has processes and goroutines write to one end and others read from the other at once.
func TestPipeProcesses(t *testing.T) {
	const senders = 4
	n := scale(2000)
	seg, a, b := pipeSegment(t, ringbuf.PipeOptions{})
	var procs []*spawn.Process
	for s := range senders - 1 {
		p, err := pipeTarget.Start(proctest.Context(t), pipeArg{seg, uint64(s), n, 1}, nil)
		ok(t, err)
		procs = append(procs, p)
	}
	done := make(chan error, 1)
	go func() { done <- sendMany(proctest.Context(t), b, senders-1, n) }()
	all := make([]tally, 3)
	var wg sync.WaitGroup
	for i := range all {
		all[i] = tally{}
		wg.Go(func() {
			for {
				msg, err := a.Get(proctest.Context(t), nil)
				if errors.Is(err, io.EOF) {
					return
				}
				if err == nil {
					err = all[i].addPipe(msg)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	ok(t, <-done)
	for _, p := range procs {
		ok(t, p.Wait(proctest.Context(t)))
	}
	ok(t, b.Close())
	wg.Wait()
	wantAll(t, all, senders, n)
	ok(t, ringbuf.PipeDrained(a))
}
