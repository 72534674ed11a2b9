//go:build amd64 || arm64

package futex_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/fb2d3dbd/multiproc/futex"
)

// impatient is a context that ends after it was asked a few times. It needs no other thread.
type impatient struct {
	context.Context
	asked, patience int
}

func (c *impatient) Err() error {
	if c.asked++; c.asked > c.patience {
		return context.DeadlineExceeded
	}
	return nil
}

func soon(n int) context.Context { return &impatient{context.Background(), 0, n} }

// A lockStep is one call of the child.
type lockStep struct {
	name string
	do   func() error
	want error
}

// A lockWalk is what the child does with one kind of lock, and what an heir must find. inside is the step that the child is in, and
// done whether an earlier instruction of the same step has had its effect.
type lockWalk struct {
	size   int
	create func(mem []byte, who futex.Participants) error
	steps  func(mem []byte, who futex.Participants) ([]lockStep, error)
	// heir returns 0 when the step has no effect yet, 1 when it has, or an error.
	heir func(mem []byte, who futex.Participants, step int) (int, error)
	// help is called between two instructions, with the child's memory, by a process that is alive.
	help func(mem []byte, who futex.Participants, step int)
}

func step(name string, do func() error) lockStep { return lockStep{name: name, do: do} }

func stepErr(name string, want error, do func() error) lockStep { return lockStep{name, do, want} }

var bg = context.Background()

// either says which of two states of a number is found.
func either(got, before, after int, what string) (int, error) {
	switch got {
	case after:
		return 1, nil
	case before:
		return 0, nil
	}
	return 0, fmt.Errorf("%s is %d, want %d or %d", what, got, before, after)
}

// takeAll counts the permits that the heir can take.
func takeAll(s interface {
	TryAcquire() error
	Release() error
}) (int, error) {
	for n := 0; ; n++ {
		if err := s.TryAcquire(); err == futex.ErrLocked {
			for range n {
				if err := s.Release(); err != nil {
					return n, err
				}
			}
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

var lockWalks = map[string]lockWalk{
	"semaphore": {
		size: futex.SemaphoreSize(5),
		create: func(mem []byte, who futex.Participants) error {
			_, err := futex.CreateSemaphore(mem, 3, 5, who)
			return err
		},
		steps: func(mem []byte, who futex.Participants) ([]lockStep, error) {
			s, err := futex.OpenSemaphore(mem, who)
			if err != nil {
				return nil, err
			}
			return []lockStep{
				step("Acquire", func() error { return s.Acquire(bg) }), step("TryAcquire", s.TryAcquire), step("Release", s.Release),
				step("Consume", s.TryConsume), step("Release", s.Release), step("Release of one more", s.Release),
				step("Release of one more", s.Release), step("Release of one more", s.Release), stepErr("Release of too many", futex.ErrBound, s.Release),
			}, nil
		},
		heir: func(mem []byte, who futex.Participants, i int) (int, error) {
			s, err := futex.OpenSemaphore(mem, who)
			if err != nil {
				return 0, err
			}
			n, err := takeAll(s)
			if err != nil {
				return 0, err
			}
			before := []int{3, 3, 3, 3, 2, 2, 3, 4, 5, 5}
			return either(n, before[i], before[i+1], "the number of permits")
		},
	},
	"bounded": {
		size: futex.SemaphoreSize(3),
		create: func(mem []byte, who futex.Participants) error {
			_, err := futex.CreateBoundedSemaphore(mem, 3, who)
			return err
		},
		steps: func(mem []byte, who futex.Participants) ([]lockStep, error) {
			s, err := futex.OpenBoundedSemaphore(mem, who)
			if err != nil {
				return nil, err
			}
			return []lockStep{
				step("Acquire", s.TryAcquire), step("Acquire", s.TryAcquire), step("Acquire", s.TryAcquire),
				stepErr("Acquire of none", futex.ErrLocked, s.TryAcquire), step("Release", s.Release), step("Release", s.Release), step("Release", s.Release),
				stepErr("Release of none", futex.ErrBound, s.Release),
			}, nil
		},
		heir: func(mem []byte, who futex.Participants, i int) (int, error) {
			s, err := futex.OpenBoundedSemaphore(mem, who)
			if err != nil {
				return 0, err
			}
			n, err := takeAll(s)
			if err != nil {
				return 0, err
			}
			return either(n, 3, 3, "the number of permits")
		},
	},
	"rwmutex": {
		size: futex.RWMutexSize(2),
		create: func(mem []byte, who futex.Participants) error {
			_, err := futex.CreateRWMutex(mem, 2, who)
			return err
		},
		steps: func(mem []byte, who futex.Participants) ([]lockStep, error) {
			l, err := futex.OpenRWMutex(mem, who)
			if err != nil {
				return nil, err
			}
			return []lockStep{
				step("RLock", func() error { return l.RLock(bg) }), stepErr("Lock that gives up", context.DeadlineExceeded, func() error { return l.Lock(soon(4)) }),
				step("RLock", l.TryRLock), step("RUnlock", l.RUnlock), step("RUnlock", l.RUnlock),
				step("Lock", func() error { return l.Lock(bg) }), stepErr("TryRLock", futex.ErrLocked, l.TryRLock),
				stepErr("RLock that gives up", context.DeadlineExceeded, func() error { return l.RLock(soon(2)) }), step("Unlock", l.Unlock),
				step("TryLock", l.TryLock), step("Unlock", l.Unlock),
			}, nil
		},
		heir: func(mem []byte, who futex.Participants, i int) (int, error) {
			l, err := futex.OpenRWMutex(mem, who)
			if err != nil {
				return 0, err
			}
			damaged := 0
			if err := l.TryRLock(); err == futex.ErrDamaged {
				damaged = 1
			} else if err != nil {
				return 0, fmt.Errorf("TryRLock: %w", err)
			} else if err := l.RUnlock(); err != nil {
				return 0, err
			}
			switch err := l.Lock(bg); {
			case err == futex.ErrOwnerDied && damaged == 1:
				err = errors.Join(l.MarkConsistent(), l.Unlock(), l.TryLock())
				if err != nil {
					return 0, err
				}
			case err != nil || damaged == 1:
				return 0, fmt.Errorf("the lock's damage is seen by a reader %d times, a writer gets %w", damaged, err)
			}
			if err := errors.Join(l.Unlock(), l.RLock(bg), l.RUnlock()); err != nil {
				return 0, err
			}
			before := []int{0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 0}
			return either(damaged, before[i], before[i+1], "damage")
		},
	},
	"rlock": {
		size:   64,
		create: func(mem []byte, who futex.Participants) error { return nil },
		steps: func(mem []byte, who futex.Participants) ([]lockStep, error) {
			l, err := futex.NewRLock(mem, who)
			if err != nil {
				return nil, err
			}
			return []lockStep{step("Lock", func() error { return l.Lock(bg) }), step("Lock", l.TryLock), step("Unlock", l.Unlock), step("Unlock", l.Unlock)}, nil
		},
		heir: func(mem []byte, who futex.Participants, i int) (int, error) {
			l, err := futex.NewRLock(mem, who)
			if err != nil {
				return 0, err
			}
			held := 0
			if err := l.Lock(bg); err == futex.ErrOwnerDied {
				held = 1
			} else if err != nil {
				return 0, err
			}
			before := []int{0, 1, 1, 1, 0}
			return either(held, before[i], before[i+1], "held")
		},
	},
	"event": {
		size:   64,
		create: func(mem []byte, who futex.Participants) error { return nil },
		steps: func(mem []byte, who futex.Participants) ([]lockStep, error) {
			e, err := futex.NewEvent(mem, who)
			if err != nil {
				return nil, err
			}
			return []lockStep{
				stepErr("Wait", context.DeadlineExceeded, func() error { return e.Wait(soon(3)) }), step("Set", e.Set), step("Set", e.Set),
				step("Wait", func() error { return e.Wait(bg) }), step("Clear", e.Clear),
			}, nil
		},
		heir: func(mem []byte, who futex.Participants, i int) (int, error) {
			e, err := futex.NewEvent(mem, who)
			if err != nil {
				return 0, err
			}
			is, err := e.IsSet()
			set := 0
			if is {
				set = 1
			}
			if err == nil {
				err = errors.Join(e.Set(), e.Wait(bg), e.Clear())
			}
			if err != nil {
				return 0, err
			}
			before := []int{0, 0, 1, 1, 1, 0}
			return either(set, before[i], before[i+1], "set")
		},
	},
	"cond": {
		size: 64 + futex.CondSize(2),
		create: func(mem []byte, who futex.Participants) error {
			mu, err := futex.NewMutex(mem, who)
			if err == nil {
				_, err = futex.CreateCond(mem[64:], 2, mu, who)
			}
			return err
		},
		steps: func(mem []byte, who futex.Participants) ([]lockStep, error) {
			mu, err := futex.NewMutex(mem, who)
			if err != nil {
				return nil, err
			}
			c, err := futex.OpenCond(mem[64:], mu, who)
			if err != nil {
				return nil, err
			}
			return []lockStep{
				step("Lock", func() error { return mu.Lock(bg) }), stepErr("Wait that gives up", context.DeadlineExceeded, func() error { return c.Wait(soon(3)) }),
				step("Notify of nobody", func() error { return c.Notify(1) }), step("Wait", func() error { return c.Wait(bg) }),
				step("Unlock", mu.Unlock),
			}, nil
		},
		help: func(mem []byte, who futex.Participants, step int) {
			if step != 3 {
				return
			}
			mu, _ := futex.NewMutex(mem, who)
			c, _ := futex.OpenCond(mem[64:], mu, who)
			if c.Waiting() > 0 && mu.TryLock() == nil {
				_ = c.Notify(1)
				_ = mu.Unlock()
			}
		},
		// An heir waits and is told: nothing that the dead has in its place swallows it, or may wake it more than once.
		heir: func(mem []byte, who futex.Participants, i int) (int, error) {
			mu, err := futex.NewMutex(mem, who)
			if err != nil {
				return 0, err
			}
			c, err := futex.OpenCond(mem[64:], mu, who)
			if err != nil {
				return 0, err
			}
			for range 2 { // the second finds as many places, and nothing left over
				if err := mu.Lock(bg); err != nil && err != futex.ErrOwnerDied {
					return 0, err
				}
				_ = mu.MarkConsistent()
				told := make(chan error)
				go func() {
					if err := mu.Lock(bg); err != nil {
						told <- err
						return
					}
					if err := c.Notify(1); err != nil {
						told <- err
						return
					}
					told <- mu.Unlock()
				}()
				err := c.Wait(bg)
				if err := errors.Join(err, mu.Unlock(), <-told); err != nil {
					return 0, err
				}
			}
			if n := c.Waiting(); n != 0 {
				return 0, fmt.Errorf("%d wait", n)
			}
			return 0, nil
		},
	},
	"barrier": {
		size: futex.BarrierSize(2) + 4096,
		create: func(mem []byte, who futex.Participants) error {
			_, err := futex.CreateBarrier(mem, 2, who)
			if err == nil {
				_, err = futex.CreateBarrier(mem[2048:], 1, who)
			}
			return err
		},
		steps: func(mem []byte, who futex.Participants) ([]lockStep, error) {
			two, err := futex.OpenBarrier(mem, who)
			if err != nil {
				return nil, err
			}
			one, err := futex.OpenBarrier(mem[2048:], who)
			if err != nil {
				return nil, err
			}
			return []lockStep{
				step("Wait of one", func() error { return nothing(one.Wait(bg)) }),
				step("WaitAction of one", func() error { return nothing(one.WaitAction(bg, func() error { return nil })) }),
				stepErr("WaitAction that fails", errDied, func() error { return nothing(one.WaitAction(bg, func() error { return errDied })) }),
				step("Reset", one.Reset),
				stepErr("Wait of two that gives up", futex.ErrBrokenBarrier, func() error { return nothing(two.Wait(soon(4))) }),
				step("Reset", two.Reset), step("Abort", two.Abort), step("Reset", two.Reset),
				step("Wait of two, the other comes at once", func() error { return nothing(two.Wait(bg)) }),
				step("Wait of two, the other comes at once", func() error { return nothing(two.Wait(bg)) }),
			}, nil
		},
		help: func(mem []byte, who futex.Participants, step int) {
			if b, err := futex.OpenBarrier(mem, who); err == nil && step >= 8 && b.Waiting() == 1 {
				_, _ = b.Wait(bg)
			}
		},
		// Heirs come, and all pass or all hear that it is broken; after Reset they pass.
		heir: func(mem []byte, who futex.Participants, i int) (int, error) {
			for parties, at := range map[int]int{1: 2048, 2: 0} {
				b, err := futex.OpenBarrier(mem[at:], who)
				if err != nil {
					return 0, err
				}
				for round := range 3 {
					broken := 0
					ends := make(chan error, parties)
					for range parties {
						go func() { ends <- nothing(b.Wait(bg)) }()
					}
					for range parties {
						if err := <-ends; errors.Is(err, futex.ErrBrokenBarrier) {
							broken++
						} else if err != nil {
							return 0, err
						}
					}
					if broken != 0 && (broken != parties || round > 0) {
						return 0, fmt.Errorf("round %d was broken for %d of %d", round, broken, parties)
					}
					if broken > 0 {
						if err := b.Reset(); err != nil {
							return 0, err
						}
					}
				}
			}
			return 0, nil
		},
	},
}
