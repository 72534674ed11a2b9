package bench

import (
	"context"
	"sync"
	"time"
)

// goroutineSPSC sends small messages through a channel by value, and copies large ones into buffers that travel to the
// consumer and back: whichever is faster for the size.
func goroutineSPSC(size int) Impl {
	switch size {
	case 8:
		return goroutineImpl(channelSPSC[[1]uint64])
	case 64:
		return goroutineImpl(channelSPSC[[8]uint64])
	}
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		msg, got := make([]byte, size), make([]byte, size)
		return bufferSPSC(ctx, n, size,
			func(buf []byte, number int) {
				stamp(msg, number)
				copy(buf, msg)
			},
			func(buf []byte) (uint64, error) {
				copy(got, buf)
				return numberOf(got)
			})
	})
}

// goroutineLease sends pointers to buffers, in which the messages are written and read.
func goroutineLease(size int) Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		return bufferSPSC(ctx, n, size, stamp, numberOf)
	})
}

// A words message carries its number in its first and its last word.
type words interface{ [1]uint64 | [8]uint64 }

func produce[T words](ctx context.Context, ch chan<- T, n, first, step int) error {
	var msg T
	for i := range n {
		msg[0] = uint64(first + i*step)
		msg[len(msg)-1] = msg[0]
		ch <- msg
		if i%checkEvery == 0 && ctx.Err() != nil {
			return stopped(ctx)
		}
	}
	return nil
}

// An inbox checks that messages come whole and in the order 0, 1, 2, ...
type inbox struct {
	count int
	sum   uint64
	wrong error
}

func (b *inbox) take(number uint64, err error) {
	if b.wrong == nil && (err != nil || number != uint64(b.count)) {
		b.wrong = errTorn
	}
	b.sum += number
	b.count++
}

// verdict judges the messages after the last one of n was to come.
func (b *inbox) verdict(ctx context.Context, n int) error {
	if b.wrong != nil {
		return b.wrong
	}
	if b.count < n {
		return stopped(ctx)
	}
	return verdict(n, b.count, b.sum)
}

func channelSPSC[T words](ctx context.Context, n int) (time.Duration, error) {
	ch := make(chan T, queueMessages(64))
	return together(ctx,
		func(ctx context.Context) error {
			defer close(ch)
			return produce(ctx, ch, n, 0, 1)
		},
		func(ctx context.Context) error {
			var in inbox
			for msg := range ch { // to the end, so that the producer is never left waiting
				var err error
				if msg[len(msg)-1] != msg[0] {
					err = errTorn
				}
				in.take(msg[0], err)
			}
			return in.verdict(ctx, n)
		})
}

// bufferSPSC lets buffers travel from the producer, who writes messages into them, to the consumer, who reads them, and
// back.
func bufferSPSC(ctx context.Context, n, size int, write func(buf []byte, number int), read func(buf []byte) (uint64, error)) (time.Duration, error) {
	full := make(chan []byte, queueMessages(size))
	free := make(chan []byte, queueMessages(size))
	for range cap(free) {
		free <- make([]byte, size)
	}
	return together(ctx,
		func(ctx context.Context) error {
			defer close(full)
			for i := range n {
				buf := <-free
				write(buf, i)
				full <- buf
				if i%checkEvery == 0 && ctx.Err() != nil {
					return stopped(ctx)
				}
			}
			return nil
		},
		func(ctx context.Context) error {
			var in inbox
			for buf := range full {
				in.take(read(buf))
				free <- buf
			}
			return in.verdict(ctx, n)
		})
}

// batchMessages is how many messages are put and taken at a time where they are batched.
const batchMessages = 32

// goroutineBatch sends an array of messages as one.
func goroutineBatch() Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		ch := make(chan batch, queueMessages(64)/batchMessages)
		return together(ctx,
			func(ctx context.Context) error {
				defer close(ch)
				var b batch
				for i := range n {
					b.put(uint64(i))
					if b.n == batchMessages || i == n-1 {
						ch <- b
						b.n = 0
					}
					if i%checkEvery == 0 && ctx.Err() != nil {
						return stopped(ctx)
					}
				}
				return nil
			},
			func(ctx context.Context) error {
				var in inbox
				for b := range ch {
					for i := range b.n {
						msg := &b.msgs[i]
						var err error
						if msg[0] != msg[len(msg)-1] {
							err = errTorn
						}
						in.take(msg[0], err)
					}
				}
				return in.verdict(ctx, n)
			})
	})
}

// A batch is up to so many messages.
type batch struct {
	n    int
	msgs [batchMessages][8]uint64
}

func (b *batch) put(number uint64) {
	msg := &b.msgs[b.n]
	msg[0], msg[len(msg)-1] = number, number
	b.n++
}

func goroutineMPMC(producers, consumers, size, capacity int) Impl {
	if size != 64 {
		return goroutineMPMCBuffers(producers, consumers, size, capacity)
	}
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		ch := make(chan [8]uint64, capacity)
		var producing sync.WaitGroup
		producing.Add(producers)
		counts, sums := make([]int, consumers), make([]uint64, consumers)
		var bodies []func(ctx context.Context) error
		for i := range producers {
			bodies = append(bodies, func(ctx context.Context) error {
				defer producing.Done()
				return produce(ctx, ch, shareOf(n, producers, i), i, producers)
			})
		}
		for i := range consumers {
			bodies = append(bodies, func(ctx context.Context) error {
				var sum uint64
				mine := shareOf(n, consumers, i)
				for range mine {
					msg, ok := <-ch
					if !ok {
						return stopped(ctx)
					}
					if msg[0] != msg[len(msg)-1] {
						go drain(ch)
						return errTorn
					}
					sum += msg[0]
				}
				counts[i], sums[i] = mine, sum
				return nil
			})
		}
		go func() {
			producing.Wait()
			close(ch)
		}()
		elapsed, err := together(ctx, bodies...)
		if err != nil {
			return 0, err
		}
		count, sum := 0, uint64(0)
		for i := range consumers {
			count += counts[i]
			sum += sums[i]
		}
		return elapsed, verdict(n, count, sum)
	})
}

func drain[T any](ch <-chan T) {
	for range ch {
	}
}

// goroutineSolo puts into a channel and gets from it in turn.
func goroutineSolo() Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		ch := make(chan [8]uint64, queueMessages(64))
		return together(ctx, func(ctx context.Context) error {
			var in inbox
			var msg [8]uint64
			for i := range n {
				msg[0], msg[len(msg)-1] = uint64(i), uint64(i)
				ch <- msg
				back := <-ch
				var err error
				if back[len(back)-1] != back[0] {
					err = errTorn
				}
				in.take(back[0], err)
				if i%checkEvery == 0 && ctx.Err() != nil {
					return stopped(ctx)
				}
			}
			return in.verdict(ctx, n)
		})
	})
}

// goroutineRTT sends messages there and back through channels that hold capacity of them.
func goroutineRTT(capacity int) Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		there, back := make(chan [8]uint64, capacity), make(chan [8]uint64, capacity)
		return together(ctx,
			func(ctx context.Context) error {
				defer close(there)
				var msg [8]uint64
				for i := range n {
					msg[0], msg[len(msg)-1] = uint64(i), uint64(i)
					there <- msg
					answer, ok := <-back
					if !ok || answer != msg {
						return errTorn
					}
					if i%checkEvery == 0 && ctx.Err() != nil {
						return stopped(ctx)
					}
				}
				return nil
			},
			func(context.Context) error {
				defer close(back)
				for msg := range there {
					back <- msg
				}
				return nil
			})
	})
}
