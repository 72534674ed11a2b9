package bench

import (
	"context"
	"os"
	"syscall"
	"time"
)

// pipePolled is a pair of pipes whose ends never sleep: each side reads again and again until there is something.
func pipePolled(size int) Impl {
	return kernelImpl("pipe-polled", nil, func(ctx context.Context, n int) (elapsed time.Duration, err error) {
		l, err := newPipe(queueBytes(size), true)
		if err != nil {
			return 0, err
		}
		defer l.close()
		h, err := startHelper(ctx, helperPolled, l.childIn, l.childOut, size, n)
		if err != nil {
			return 0, err
		}
		l.release()
		defer func() {
			l.close()
			err = h.wait(ctx, err)
		}()
		in, out := int(l.in.Fd()), int(l.out.Fd())
		if err := syscall.SetNonblock(in, true); err != nil {
			return 0, err
		}
		msg := make([]byte, size)
		var begin int64
		for i := -1; i < n; i++ { // the first trip waits for the helper to start
			if i == 0 {
				begin = monotonic()
			}
			stamp(msg, i)
			if _, err := syscall.Write(out, msg); err != nil {
				return 0, err
			}
			if err := readPolled(ctx, in, msg); err != nil {
				return 0, err
			}
			if number, err := numberOf(msg); err != nil || number != uint64(i) {
				return 0, errTorn
			}
		}
		return time.Duration(monotonic() - begin), nil
	})
}

// readPolled reads a message, which a pipe gives whole: it is smaller than PIPE_BUF.
func readPolled(ctx context.Context, fd int, msg []byte) error {
	for tries := 0; ; tries++ {
		n, err := syscall.Read(fd, msg)
		switch {
		case n == len(msg):
			return nil
		case n > 0, n == 0 && err == nil:
			return errTorn
		case err != syscall.EAGAIN && err != syscall.EINTR:
			return err
		case tries%1024 == 1023 && ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// polled is the helper that sends back n messages, and one more.
func polled(in, out *os.File, size, n int) error {
	fd := int(in.Fd())
	if err := syscall.SetNonblock(fd, true); err != nil {
		return err
	}
	msg := make([]byte, size)
	for range n + 1 {
		if err := readPolled(context.Background(), fd, msg); err != nil {
			return err
		}
		if _, err := syscall.Write(int(out.Fd()), msg); err != nil {
			return err
		}
	}
	return nil
}
