package manager_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/manager"
)

// A counter is an object of the tests. The other fields are what a client sees of the server.
type counter struct {
	mu     sync.Mutex
	n      int
	waits  atomic.Int32 // calls of Wait that run
	childs atomic.Int32 // children that are not closed
	one    *child
}

type (
	celsius float64
	point   struct{ X, Y int }
	kelvin  struct{ v float64 } // cannot be sent
)

var (
	errTooMuch = errors.New("too much")
	_          = func() int {
		multiproc.RegisterError("manager_test.errTooMuch", errTooMuch)
		multiproc.Register[limitError]()
		return 0
	}()
)

type limitError struct{ Limit int }

func (e *limitError) Error() string { return fmt.Sprintf("over the limit of %d", e.Limit) }

var counters = manager.NewType("counter", func(ctx context.Context, start int) (*counter, error) {
	switch start {
	case -1:
		return nil, errTooMuch
	case -2:
		panic("minus two")
	case -3:
		return nil, nil
	case -4:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &counter{n: start}, nil
})

func (c *counter) Add(n int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n > 1000 {
		return c.n, fmt.Errorf("add %d: %w", n, errTooMuch)
	}
	if n > 100 {
		return c.n, fmt.Errorf("add %d: %w", n, &limitError{100})
	}
	c.n += n
	return c.n, nil
}

func (c *counter) Value() int           { c.mu.Lock(); defer c.mu.Unlock(); return c.n }
func (c *counter) Big(n int64) int64    { return n + 1 }
func (c *counter) Small(n uint8) string { return fmt.Sprint(n) }
func (c *counter) Warm(t celsius) celsius {
	return t + 1
}
func (c *counter) Move(p point, by ...int) (point, int) {
	for _, n := range by {
		p.X += n
	}
	return p, len(by)
}
func (c *counter) Any(v any) any           { return v }
func (c *counter) Reset()                  { c.mu.Lock(); defer c.mu.Unlock(); c.n = 0 }
func (c *counter) Panic(s string)          { panic(s) }
func (c *counter) Exit()                   { runtime.Goexit() }
func (c *counter) Kelvin() kelvin          { return kelvin{1} }
func (c *counter) Func(func())             {}
func (c *counter) PID() int                { return os.Getpid() }
func (c *counter) Waits() int              { return int(c.waits.Load()) }
func (c *counter) Children() int           { return int(c.childs.Load()) }
func (c *counter) Nil() (*child, error)    { return nil, nil }
func (c *counter) Take(o *child) int       { return o.n }
func (c *counter) Same(a, b *child) bool   { return a == b }
func (c *counter) Other(o *manager.Object) { _ = o.Close() }
func (c *counter) Get(ctx context.Context, d *manager.Dict[string, int], key string) (int, error) {
	defer d.Close()
	return d.Get(ctx, key)
}

func (c *counter) Wait(ctx context.Context) error {
	c.waits.Add(1)
	defer c.waits.Add(-1)
	<-ctx.Done()
	return ctx.Err()
}

// Child returns a new object each time, One the same.
func (c *counter) Child(n int) (*child, error) {
	c.childs.Add(1)
	return &child{n: n, of: c}, nil
}

func (c *counter) One() (*child, *child) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.one == nil {
		c.childs.Add(1)
		c.one = &child{n: 1, of: c}
	}
	return c.one, c.one
}

func (c *counter) AsAny() any { c.childs.Add(1); return &child{n: 5, of: c} }

// A child counts itself until it is closed.
type child struct {
	n  int
	of *counter
}

func (c *child) N() int       { return c.n }
func (c *child) Close() error { c.of.childs.Add(-1); return nil }

var (
	_ = manager.NewType("child", func(context.Context, int) (*child, error) { return nil, errors.New("children come from counters") })

	// few has but these methods of the same Go type.
	few = manager.NewType("few", func(_ context.Context, n int) (*counter, error) { return &counter{n: n}, nil }).Only("Value", "Reset")

	_ io.Closer = (*child)(nil)
)
