package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// The kernel's own means: a pipe, and a pair of connected stream sockets. This process sends, a helper process
// receives. Both use blocking reads and writes: a process that does nothing else is woken sooner by the kernel than by
// way of Go's network poller. A message is one write, a length and the payload; the receiver reads through a buffer, so
// that it takes all that is there with one call.

// A link connects this process to a helper process.
type link struct {
	out, in             *os.File // this process's ends; in is nil where nothing comes back
	childIn, childOut   *os.File // the helper's ends; childOut is nil when in is
	releaseOnce, closed bool
}

// release closes the helper's ends in this process, so that the helper's death is seen as the end of the link.
func (l *link) release() {
	if !l.releaseOnce {
		l.releaseOnce = true
		closeAll(l.childIn, l.childOut)
	}
}

func (l *link) close() {
	l.release()
	if !l.closed {
		l.closed = true
		closeAll(l.out, l.in)
	}
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close() // nothing is buffered in it; closing twice is harmless
		}
	}
}

// newPipe makes one pipe, or two when answers come back.
func newPipe(size int, answers bool) (*link, error) {
	var l link
	var err error
	if l.childIn, l.out, err = os.Pipe(); err != nil {
		return nil, err
	}
	if answers {
		if l.in, l.childOut, err = os.Pipe(); err != nil {
			l.close()
			return nil, err
		}
	}
	for _, f := range []*os.File{l.out, l.in} {
		if f != nil {
			setPipeSize(f, size)
			f.Fd() // makes it blocking
		}
	}
	return &l, nil
}

func kernelImpl(name string, missing func() string, run func(ctx context.Context, n int) (time.Duration, error)) Impl {
	return Impl{
		Name:    name,
		Missing: missing,
		Run: func(ctx context.Context, n int) (Result, error) {
			elapsed, err := run(ctx, n)
			if err != nil {
				return Result{}, fmt.Errorf("%s: %w", name, err)
			}
			return Result{Ops: n, Elapsed: elapsed}, nil
		},
	}
}

// overPipe is an implementation that runs over a kernel pipe, and back over another if both is set.
func overPipe(size int, both bool, run func(ctx context.Context, l *link, n, size int) (time.Duration, error)) Impl {
	return overLink("pipe", nil, newPipe, size, both, run)
}

// overSocket is the same over a pair of unix sockets.
func overSocket(size int, both bool, run func(ctx context.Context, l *link, n, size int) (time.Duration, error)) Impl {
	return overLink("unixsocket", socketMissing, newSocketPair, size, both, run)
}

func overLink(name string, missing func() string, open func(size int, both bool) (*link, error), size int, both bool,
	run func(ctx context.Context, l *link, n, size int) (time.Duration, error)) Impl {
	return kernelImpl(name, missing, func(ctx context.Context, n int) (time.Duration, error) {
		l, err := open(queueBytes(size), both)
		if err != nil {
			return 0, err
		}
		defer l.close()
		return run(ctx, l, n, size)
	})
}

func pipeSPSC(size int) Impl   { return overPipe(size, false, send) }
func socketSPSC(size int) Impl { return overSocket(size, false, send) }
func pipeRTT(size int) Impl    { return overPipe(size, true, ask) }
func socketRTT(size int) Impl  { return overSocket(size, true, ask) }

const frameHeader = 4

// readBuffer returns the size of the receiver's buffer: it takes many small messages with one call, and most of a large
// one straight to where it belongs.
func readBuffer(size int) int {
	if size > 4<<10 {
		return 4 << 10
	}
	return 64 << 10
}

// send sends n messages to a helper, which reports when it had the last one.
func send(ctx context.Context, l *link, n, size int) (elapsed time.Duration, err error) {
	reports, helperOut, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer closeAll(reports, helperOut)
	h, err := startHelper(ctx, helperSink, l.childIn, helperOut, size, n)
	if err != nil {
		return 0, err
	}
	l.release()
	closeAll(helperOut)
	defer func() {
		l.close()
		err = h.wait(ctx, err)
	}()

	var ready string
	if _, err := fmt.Fscan(reports, &ready); err != nil {
		return 0, fmt.Errorf("the receiver did not start: %w", err)
	}
	frame := newFrame(size)
	begin := monotonic()
	for i := range n {
		stamp(frame[frameHeader:], i)
		if _, err := l.out.Write(frame); err != nil {
			return 0, err
		}
	}
	var end int64
	var count int
	var sum uint64
	if _, err := fmt.Fscan(reports, &end, &count, &sum); err != nil {
		return 0, fmt.Errorf("the receiver ended without a report: %w", err)
	}
	return time.Duration(end - begin), verdict(n, count, sum)
}

// ask makes n round trips with a helper that echoes every message.
func ask(ctx context.Context, l *link, n, size int) (elapsed time.Duration, err error) {
	h, err := startHelper(ctx, helperEcho, l.childIn, l.childOut, size, n)
	if err != nil {
		return 0, err
	}
	l.release()
	defer func() {
		l.close()
		err = h.wait(ctx, err)
	}()

	frame, msg := newFrame(size), make([]byte, size)
	in := bufio.NewReaderSize(l.in, readBuffer(size))
	var begin int64
	for i := -1; i < n; i++ { // the first trip waits for the helper to start
		if i == 0 {
			begin = monotonic()
		}
		stamp(frame[frameHeader:], i)
		if _, err := l.out.Write(frame); err != nil {
			return 0, err
		}
		if err := readFrame(in, msg); err != nil {
			return 0, err
		}
		if number, err := numberOf(msg); err != nil || number != uint64(i) {
			return 0, errTorn
		}
	}
	return time.Duration(monotonic() - begin), nil
}

func newFrame(size int) []byte {
	frame := make([]byte, frameHeader+size)
	binary.LittleEndian.PutUint32(frame, uint32(size))
	return frame
}

// readFrame reads one message of exactly len(msg) bytes.
func readFrame(r *bufio.Reader, msg []byte) error {
	header, err := r.Peek(frameHeader)
	if err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(header) != uint32(len(msg)) {
		return errors.New("a message has the wrong length")
	}
	if _, err := r.Discard(frameHeader); err != nil {
		return err
	}
	_, err = io.ReadFull(r, msg)
	return err
}

// sink is the helper that receives n messages.
func sink(in *os.File, out *os.File, size, n int) error {
	r := bufio.NewReaderSize(in, readBuffer(size))
	msg := make([]byte, size)
	var sum uint64
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	for i := range n {
		if err := readFrame(r, msg); err != nil {
			return err
		}
		number, err := numberOf(msg)
		if err != nil || number != uint64(i) {
			return errTorn
		}
		sum += number
	}
	_, err := fmt.Fprintln(out, monotonic(), n, sum)
	return err
}

// echo is the helper that sends back what it receives.
func echo(in *os.File, out *os.File, size int) error {
	r := bufio.NewReaderSize(in, readBuffer(size))
	frame := newFrame(size)
	for {
		if err := readFrame(r, frame[frameHeader:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if _, err := out.Write(frame); err != nil {
			return err
		}
	}
}
