package futex_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// A folk stands in for processes: each has a token, and some are dead.
type folk struct {
	mu   sync.Mutex
	dead map[uint32]bool
	gone map[uint32]bool // have closed the memory
	self map[uint32]*atomic.Uint32
}

func (c *folk) one(token uint32) futex.Participants {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.self == nil {
		c.self = map[uint32]*atomic.Uint32{}
	}
	if c.self[token] == nil {
		c.self[token] = new(atomic.Uint32)
		if !c.gone[token] {
			c.self[token].Store(token)
		}
	}
	return &person{c, token, c.self[token]}
}

func (c *folk) kill(token uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead == nil {
		c.dead = map[uint32]bool{}
	}
	c.dead[token] = true
}

func (c *folk) leave(token uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone == nil {
		c.gone = map[uint32]bool{}
	}
	c.gone[token] = true
	if c.self[token] != nil {
		c.self[token].Store(0)
	}
}

type person struct {
	*folk
	token uint32
	self  *atomic.Uint32
}

func (p *person) Token() *atomic.Uint32 { return p.self }

func (p *person) Keeps([]byte) bool { return true }

func (p *person) Self() uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone[p.token] {
		return 0
	}
	return p.token
}

func (p *person) Alive(token uint32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return token != 0 && token < 1000 && !p.dead[token]
}

func ok(t testing.TB, err error) {
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
}

func want(t testing.TB, err, target error) {
	if !errors.Is(err, target) {
		t.Helper()
		t.Fatalf("got error %v, want one that matches %v", err, target)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		ok(t, err)
		return v
	}
}

// ended is a context that is over.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// waiting starts f in a goroutine; the channel has its error.
func waiting(f func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- f() }()
	return c
}

// result is what f returned.
func result(t testing.TB, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-proctest.Context(t).Done():
		t.Fatal("the call does not return")
		return nil
	}
}

func none(t testing.TB, c <-chan error) {
	t.Helper()
	select {
	case err := <-c:
		t.Fatalf("the call returned: %v", err)
	default:
	}
}

// eventually waits until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	proctest.Eventually(t, cond, what)
}

// A lockCase is one kind of lock for tests that are the same for all: its memory, and calls that are made in order.
type lockCase struct {
	size   int
	create func(mem []byte, who futex.Participants) error
	calls  func(mem []byte, who futex.Participants) ([]func(ctx context.Context) error, error)
}

func nothing(_ int, err error) error { return err }

var lockCases = map[string]lockCase{
	"semaphore": {futex.SemaphoreSize(5), func(mem []byte, who futex.Participants) error {
		_, err := futex.CreateSemaphore(mem, 2, 5, who)
		return err
	}, func(mem []byte, who futex.Participants) ([]func(context.Context) error, error) {
		s, err := futex.OpenSemaphore(mem, who)
		if err != nil {
			return nil, err
		}
		return []func(context.Context) error{
			s.Acquire, func(context.Context) error { return s.TryAcquire() }, s.Acquire, s.Consume,
			func(context.Context) error { return s.Release() }, func(context.Context) error { return s.TryConsume() },
			func(context.Context) error { _, err := s.Value(); return err }, func(context.Context) error { _, err := s.Holders(); return err },
		}, nil
	}},
	"bounded": {futex.SemaphoreSize(5), func(mem []byte, who futex.Participants) error {
		_, err := futex.CreateBoundedSemaphore(mem, 5, who)
		return err
	}, func(mem []byte, who futex.Participants) ([]func(context.Context) error, error) {
		s, err := futex.OpenBoundedSemaphore(mem, who)
		if err != nil {
			return nil, err
		}
		return []func(context.Context) error{
			s.Acquire, func(context.Context) error { return s.TryAcquire() }, func(context.Context) error { return s.Release() },
		}, nil
	}},
	"rwmutex": {futex.RWMutexSize(3), func(mem []byte, who futex.Participants) error {
		_, err := futex.CreateRWMutex(mem, 3, who)
		return err
	}, func(mem []byte, who futex.Participants) ([]func(context.Context) error, error) {
		l, err := futex.OpenRWMutex(mem, who)
		if err != nil {
			return nil, err
		}
		return []func(context.Context) error{
			l.RLock, func(context.Context) error { return l.RUnlock() }, l.Lock, func(context.Context) error { return l.MarkConsistent() },
			func(context.Context) error { return l.Unlock() }, func(context.Context) error { return l.TryRLock() },
			func(context.Context) error { return l.RUnlock() }, func(context.Context) error { return l.TryLock() },
			func(context.Context) error { l.Readers(); return l.Unlock() },
		}, nil
	}},
	"rlock": {futex.RLockSize, nil, func(mem []byte, who futex.Participants) ([]func(context.Context) error, error) {
		l, err := futex.NewRLock(mem, who)
		if err != nil {
			return nil, err
		}
		return []func(context.Context) error{
			l.Lock, func(context.Context) error { return l.TryLock() }, func(context.Context) error { return l.Unlock() },
			func(context.Context) error { return l.MarkConsistent() }, func(context.Context) error { return l.Unlock() },
		}, nil
	}},
	"event": {futex.EventSize, nil, func(mem []byte, who futex.Participants) ([]func(context.Context) error, error) {
		e, err := futex.NewEvent(mem, who)
		if err != nil {
			return nil, err
		}
		return []func(context.Context) error{
			e.Wait, func(context.Context) error { return e.Set() }, e.Wait, func(context.Context) error { return e.Clear() },
			func(context.Context) error { _, err := e.IsSet(); return err },
		}, nil
	}},
	"cond": {64 + futex.CondSize(3), func(mem []byte, who futex.Participants) error {
		mu, err := futex.NewMutex(mem, who)
		if err == nil {
			_, err = futex.CreateCond(mem[64:], 3, mu, who)
		}
		return err
	}, func(mem []byte, who futex.Participants) ([]func(context.Context) error, error) {
		mu, err := futex.NewMutex(mem, who)
		if err != nil {
			return nil, err
		}
		c, err := futex.OpenCond(mem[64:], mu, who)
		if err != nil {
			return nil, err
		}
		return []func(context.Context) error{
			mu.Lock, c.Wait, func(context.Context) error { return c.Notify(2) }, func(context.Context) error { return c.NotifyAll() },
			func(ctx context.Context) error { return c.WaitFor(ctx, func() bool { return false }) },
			func(context.Context) error { c.Waiting(); return mu.Unlock() },
		}, nil
	}},
	"barrier": {futex.BarrierSize(2), func(mem []byte, who futex.Participants) error {
		_, err := futex.CreateBarrier(mem, 2, who)
		return err
	}, func(mem []byte, who futex.Participants) ([]func(context.Context) error, error) {
		b, err := futex.OpenBarrier(mem, who)
		if err != nil {
			return nil, err
		}
		return []func(context.Context) error{
			func(ctx context.Context) error { return nothing(b.Wait(ctx)) }, func(context.Context) error { return b.Abort() },
			func(context.Context) error { return b.Reset() }, func(ctx context.Context) error {
				return nothing(b.WaitAction(ctx, func() error { return nil }))
			}, func(context.Context) error { b.Waiting(); b.Broken(); return b.Reset() },
		}, nil
	}},
}
