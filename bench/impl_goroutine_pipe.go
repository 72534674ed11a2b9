package bench

import (
	"context"
	"time"
)

// goroutineParked is the round trip of a message between two goroutines that have slept for a while.
func goroutineParked() Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		there, back := make(chan []byte, 1), make(chan []byte, 1)
		side := func(out chan<- []byte, in <-chan []byte) (send, receive func(msg []byte) error) {
			send = func(msg []byte) error { out <- append([]byte(nil), msg...); return nil }
			receive = func(msg []byte) error {
				select {
				case m := <-in:
					copy(msg, m)
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return send, receive
		}
		var elapsed int64
		_, err := together(ctx,
			func(context.Context) (err error) {
				send, receive := side(there, back)
				elapsed, err = askLate(n, make([]byte, 64), send, receive)
				return err
			},
			func(context.Context) error {
				send, receive := side(back, there)
				msg := make([]byte, 64)
				for range n {
					if err := answerLate(msg, send, receive); err != nil {
						return err
					}
				}
				return nil
			})
		return time.Duration(elapsed), err
	})
}
