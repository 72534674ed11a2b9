//go:build fault && linux

package ringbuf_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

const (
	pipeLetters  = 12      // that a victim sends or receives
	pipeBlock    = 1 << 20 // bytes of those that get a block
	pipeCrashLen = 64 << 20
)

type pipeCrashArg struct {
	Seg    *shm.Segment
	Second int    // where in the segment there is room for another pipe
	Ledger ledger // 0: sends that have returned; from 1 on: how often each message was received
	Fault  string
	Role   string
}

// pipeLetter is message i: every third is large.
func pipeLetter(i int) []byte {
	n := 16
	switch i % 3 {
	case 1:
		n = 1000
	case 2:
		n = pipeBlock
	}
	b := make([]byte, n)
	for k := 0; k < n; k += 8 {
		binary.LittleEndian.PutUint64(b[k:], uint64(i+1))
	}
	return b
}

func readPipeLetter(b []byte) (int, error) {
	if len(b) < 8 {
		return 0, fmt.Errorf("a message of %d bytes", len(b))
	}
	i := int(binary.LittleEndian.Uint64(b)) - 1
	if i < 0 || i >= pipeLetters || len(b) != len(pipeLetter(i)) {
		return 0, fmt.Errorf("message %d of %d bytes", i, len(b))
	}
	for k := 0; k < len(b); k += 8 {
		if binary.LittleEndian.Uint64(b[k:]) != uint64(i+1) {
			return 0, fmt.Errorf("message %d is torn", i)
		}
	}
	return i, nil
}

var pipeVictim = spawn.NewTarget("pipeVictim", func(ctx context.Context, a pipeCrashArg) error {
	if a.Fault != "" {
		if err := fault.Arm(a.Fault); err != nil {
			return err
		}
	}
	size, err := ringbuf.PipeSize(nil)
	if err != nil {
		return err
	}
	first := a.Seg.Bytes()[:size]
	switch a.Role {
	case "send":
		e, err := ringbuf.OpenPipe(first, 1, pipeIn(a.Seg))
		if err != nil {
			return err
		}
		for i := range pipeLetters {
			if err := e.Put(ctx, pipeLetter(i)); err != nil {
				return err
			}
			if err := a.Ledger.Set(0, uint64(i+1)); err != nil {
				return err
			}
		}
		return e.Close()
	case "receive":
		e, err := ringbuf.OpenPipe(first, 0, pipeIn(a.Seg))
		if err != nil {
			return err
		}
		for range pipeLetters {
			b, err := e.Get(ctx, nil)
			if err != nil {
				return err
			}
			i, err := readPipeLetter(b)
			if err != nil {
				return err
			}
			if _, err := shm.AddAt(a.Ledger, 1+i, 1); err != nil {
				return err
			}
		}
		return e.Close()
	case "mend": // nobody has the other end: who waits finds that
		e, err := ringbuf.OpenPipe(first, 0, pipeIn(a.Seg))
		if err != nil {
			return err
		}
		if _, err := e.Get(ctx, nil); !errors.Is(err, io.EOF) {
			return fmt.Errorf("the end of the pipe came as %v", err)
		}
		return e.Close()
	case "make":
		second := a.Seg.Bytes()[a.Second:][:size]
		x, y, err := ringbuf.CreatePipe(second, pipeIn(a.Seg))
		for range 3 {
			if err != nil {
				return err
			}
			if err := errors.Join(x.Put(ctx, pipeLetter(2)), x.Close(), y.Close()); err != nil {
				return err
			}
			var ok bool
			if x, y, ok, err = x.Remake(pipeIn(a.Seg)); err == nil && !ok {
				return errors.New("the pipe was not made anew")
			}
		}
		return errors.Join(x.Close(), y.Close())
	}
	return fmt.Errorf("unknown role %q", a.Role)
})

// largeBlocks returns how many large blocks the arena has left.
func largeBlocks(t *testing.T, seg *shm.Segment) int {
	t.Helper()
	_, err := seg.Collect()
	ok(t, err)
	var refs []shm.Ref
	for {
		ref, err := seg.Alloc(shm.KindUser, pipeBlock)
		if err != nil {
			wantErr(t, err, shm.ErrNoSpace)
			break
		}
		refs = append(refs, ref)
	}
	for _, ref := range refs {
		ok(t, seg.Free(ref))
	}
	return len(refs)
}

// playPipe has a victim play its role, with the test at the other end, and reports whether it was killed.
func playPipe(t *testing.T, role, order string) (killed bool) {
	t.Helper()
	size, err := ringbuf.PipeSize(nil)
	ok(t, err)
	seg, err := shm.New(&shm.Options{Size: 2 * size, Arena: pipeCrashLen, Participants: 16})
	ok(t, err)
	defer seg.Close()
	room := largeBlocks(t, seg)
	a, b, err := ringbuf.CreatePipe(seg.Bytes()[:size], pipeIn(seg))
	ok(t, err)
	l := newLedger(t, 1+pipeLetters)
	arg := pipeCrashArg{Seg: seg, Second: size, Ledger: l, Fault: order, Role: role}
	if role == "mend" { // somebody has the other end and dies
		c := again(t, seg)
		_, err := ringbuf.OpenPipe(c.Bytes()[:size], 1, pipeIn(c))
		ok(t, err)
		ok(t, b.Close())
		ok(t, c.Close())
	}
	ctx := proctest.Context(t)
	p, err := pipeVictim.Start(ctx, arg, nil)
	ok(t, err)
	switch role {
	case "send":
		proctest.Eventually(t, func() bool {
			in, _, err := a.Waiting()
			ok(t, err)
			return in > 0 || !p.Alive()
		}, "the victim sends, or is dead")
		ok(t, b.Close())
		next := 0
		for {
			msg, err := a.Get(ctx, nil)
			if errors.Is(err, io.EOF) {
				break
			}
			ok(t, err)
			i, err := readPipeLetter(msg)
			ok(t, err)
			if i != next {
				t.Fatalf("message %d came, want %d", i, next)
			}
			next++
		}
		_ = p.Wait(ctx)
		if acked := int(read(t, l, 0)); next < acked {
			t.Fatalf("%d messages came of %d whose Put had returned", next, acked)
		}
	case "receive":
		for i := range pipeLetters {
			ok(t, b.Put(ctx, pipeLetter(i))) // a receives, too, when the victim is dead
			if i == 0 {
				proctest.Eventually(t, func() bool {
					_, out, err := b.Waiting()
					ok(t, err)
					return out == 0 || !p.Alive()
				}, "the victim receives, or is dead")
			}
			if _, exited := p.ExitCode(); exited {
				drainPipe(t, a, l)
			} else if i >= 3 {
				proctest.Eventually(t, func() bool { _, out, err := b.Waiting(); ok(t, err); return out < 3 || !p.Alive() }, "the victim receives, or is dead")
			}
		}
		_ = p.Wait(ctx)
		proctest.Dead(t, seg)
		ok(t, b.Close())
		drainPipe(t, a, l)
		missing := 0
		for i := range pipeLetters {
			switch n := read(t, l, 1+i); {
			case n > 1:
				t.Fatalf("message %d was received %d times", i, n)
			case n == 0:
				missing++ // given up by the pipe, and not yet in the ledger
			}
		}
		if missing > 1 {
			t.Fatalf("%d messages are missing", missing)
		}
	case "mend":
		_, err := a.Get(ctx, nil)
		wantErr(t, err, io.EOF)
		wantErr(t, a.Put(ctx, nil), ringbuf.ErrPeerDied)
		_ = p.Wait(ctx)
	}
	killed = wasKilled(t, p)
	proctest.Dead(t, seg)
	if role != "make" {
		ok(t, ringbuf.PipeDrained(a))
	} else if _, err := ringbuf.OpenPipe(seg.Bytes()[size:], 0, pipeIn(seg)); err == nil && killed {
		// it may be a pipe whose maker has died: nobody has its other end
		e, err := ringbuf.OpenPipe(seg.Bytes()[size:], 0, pipeIn(seg))
		ok(t, err)
		for {
			if _, err = e.Get(ctx, nil); err != nil {
				break
			}
		}
		wantErr(t, err, io.EOF)
	}
	ok(t, a.Close())
	ok(t, b.Close())
	if role != "make" { // there the last message waits in memory that is made anew
		if now := largeBlocks(t, seg); now != room {
			t.Fatalf("%d large blocks are left of %d", now, room)
		}
	}
	ok(t, seg.Check())
	return killed
}

// drainPipe receives what is there, or the end.
func drainPipe(t *testing.T, a *ringbuf.PipeEnd, l ledger) {
	t.Helper()
	for {
		err := a.View(ended(), func(msg []byte) error {
			i, err := readPipeLetter(msg)
			if err == nil {
				_, err = shm.AddAt(l, 1+i, 1)
			}
			return err
		})
		if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) {
			return
		}
		ok(t, err)
	}
}

// TestCrashPipe kills a process at each crash point of a pipe that it passes: who has the other end gets whole messages, those whose Put had returned, and then the end; no block of
// memory is lost.
func TestCrashPipe(t *testing.T) {
	points := proctest.Points(t, "pipe.")
	h := hits{}
	for _, role := range []string{"send", "receive", "mend", "make"} {
		for _, point := range points {
			for _, pass := range mpmcPasses() {
				t.Run(fmt.Sprintf("%s/%s/%d", role, point, pass), func(t *testing.T) {
					if playPipe(t, role, fmt.Sprintf("kill:%s:%d", point, pass)) {
						h[point] = true
					}
				})
			}
		}
	}
	h.wantAll(t, points)
}
