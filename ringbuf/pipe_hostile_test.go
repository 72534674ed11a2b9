package ringbuf_test

import (
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/fb2d3dbd/multiproc/ringbuf"
)

// TestHostilePipe writes every kind of value over every word in front of a pipe's queues, one at a time, and calls everything; the queues have a test of their own.
func TestHostilePipe(t *testing.T) {
	watch(t, "a call on a pipe one of whose words was written over")
	o := ringbuf.PipeOptions{Capacity: 2, Bytes: 1024}
	size, err := ringbuf.PipeSize(&o)
	ok(t, err)
	mem := guarded(t, size)
	a, b, err := ringbuf.CreatePipe(mem, &o)
	ok(t, err)
	ok(t, a.TryPut(noise[:20]))
	ok(t, b.TryPut(noise[:400]))
	good := append([]byte(nil), mem...)
	say := func(at int, v uint64, err error) {
		if !isAllowed(err) && !errors.Is(err, io.EOF) && !errors.Is(err, ringbuf.ErrOneWay) && !errors.Is(err, ringbuf.ErrPeerDied) {
			t.Fatalf("with %#x at %d: %v", v, at, err)
		}
	}
	opened := 0
	for at := 0; at < 256+4*8; at += 8 {
		old := binary.NativeEndian.Uint64(good[at:])
		for _, v := range []uint64{0, 1, 2, ^uint64(0), old + 1, old - 1, old ^ 1<<63, old ^ 1<<32, old ^ 1<<30, old << 1, 1 << 62, 0xffff << 30, 4095, 1 << 40} {
			copy(mem, good)
			binary.NativeEndian.PutUint64(mem[at:], v)
			for end := range 2 {
				e, err := ringbuf.OpenPipe(mem, end, &o)
				if err != nil {
					continue // whatever it says, it says so
				}
				opened++
				say(at, v, e.TryPut(noise[:30]))
				_, err = e.TryPoll()
				say(at, v, err)
				msg, err := e.TryGet(nil)
				say(at, v, err)
				touch(msg)
				say(at, v, e.TryView(func(b []byte) error { touch(b); return nil }))
				_, _, err = e.Waiting()
				say(at, v, err)
				say(at, v, e.Close())
			}
		}
	}
	if opened == 0 {
		t.Error("no damaged pipe could be opened")
	}
}
