package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"os"
	"time"
)

// lingering is how long each side of a parked round trip waits before it sends: longer than anybody spins, so that the other sleeps by then.
const lingering = int64(150 * time.Microsecond)

func linger() {
	for end := monotonic() + lingering; monotonic() < end; {
	}
}

// askLate makes n round trips with somebody who sleeps whenever a message comes, and sleeps itself when the answer comes. It returns the time that the messages were on their way.
func askLate(n int, msg []byte, send, receive func(msg []byte) error) (elapsed int64, err error) {
	for i := range n {
		linger()
		binary.LittleEndian.PutUint64(msg, uint64(i))
		begin := monotonic()
		if err := send(msg); err != nil {
			return 0, err
		}
		if err := receive(msg); err != nil {
			return 0, err
		}
		elapsed += monotonic() - begin - int64(binary.LittleEndian.Uint64(msg[8:])) // without what the other had it
		if binary.LittleEndian.Uint64(msg) != uint64(i) {
			return 0, errTorn
		}
	}
	return elapsed, nil
}

// answerLate sends a message back, with the time for which it had it.
func answerLate(msg []byte, send, receive func(msg []byte) error) error {
	if err := receive(msg); err != nil {
		return err
	}
	begin := monotonic()
	linger()
	binary.LittleEndian.PutUint64(msg[8:], uint64(monotonic()-begin))
	return send(msg)
}

// framed sends and receives messages of one size over files that block.
func framed(in, out *os.File, size int) (send, receive func(msg []byte) error) {
	r, frame := bufio.NewReaderSize(in, readBuffer(size)), newFrame(size)
	send = func(msg []byte) error {
		copy(frame[frameHeader:], msg)
		_, err := out.Write(frame)
		return err
	}
	return send, func(msg []byte) error { return readFrame(r, msg) }
}

func pipeParked(size int) Impl   { return overPipe(size, true, askHelperLate) }
func socketParked(size int) Impl { return overSocket(size, true, askHelperLate) }

func askHelperLate(ctx context.Context, l *link, n, size int) (elapsed time.Duration, err error) {
	h, err := startHelper(ctx, helperLate, l.childIn, l.childOut, size, n)
	if err != nil {
		return 0, err
	}
	l.release()
	defer func() {
		l.close()
		err = h.wait(ctx, err)
	}()
	send, receive := framed(l.in, l.out, size)
	msg := make([]byte, size)
	if _, err := askLate(1, msg, send, receive); err != nil { // waits for the helper to start
		return 0, err
	}
	ns, err := askLate(n, msg, send, receive)
	return time.Duration(ns), err
}

// late is the helper that sends back what it receives, after a while.
func late(in, out *os.File, size, n int) error {
	send, receive := framed(in, out, size)
	msg := make([]byte, size)
	for range n + 1 {
		if err := answerLate(msg, send, receive); err != nil {
			return err
		}
	}
	return nil
}
