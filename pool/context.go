package pool

import (
	"sync"
	"time"
)

// A taskContext is the context of one task. It makes its channel when somebody asks for it: most tasks never do.
type taskContext struct {
	deadline  time.Time
	slot, seq uint32

	mu    sync.Mutex
	err   error
	done  chan struct{}
	after map[*func()]struct{}
}

// Deadline is the call's, or that of the task's own time-out.
func (c *taskContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

func (c *taskContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	return c.done
}

func (c *taskContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Value is nil: values do not travel.
func (c *taskContext) Value(key any) any { return nil }

// AfterFunc lets package context derive contexts from this one without a goroutine for each.
func (c *taskContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	if c.after == nil {
		c.after = map[*func()]struct{}{}
	}
	key := &f
	c.after[key] = struct{}{}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, was := c.after[key]
		delete(c.after, key)
		return was
	}
}

// end ends the context; only the first end counts.
func (c *taskContext) end(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	if c.done != nil {
		close(c.done)
	}
	after := c.after
	c.after = nil
	c.mu.Unlock()
	for f := range after {
		go (*f)()
	}
}
