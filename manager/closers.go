package manager

import (
	"context"
	"runtime/debug"
	"sync"
)

// closers are the functions under way that end what objects were: Close methods of users, pools, memory.
type closers struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n is 0, if somebody waits
}

// closing runs a function on a goroutine of its own: it may take its time, and is a user's.
func (s *Server) closing(what string, fn func() error) {
	x := &s.closers
	x.mu.Lock()
	x.n++
	x.mu.Unlock()
	go func() {
		defer func() {
			if v := recover(); v != nil {
				s.o.Logger.Error("manager: close "+what, "panic", v, "stack", string(debug.Stack()))
			}
			x.mu.Lock()
			if x.n--; x.n == 0 && x.idle != nil {
				close(x.idle)
				x.idle = nil
			}
			x.mu.Unlock()
		}()
		if err := fn(); err != nil {
			s.o.Logger.Error("manager: close "+what, "error", err)
		}
	}()
}

// wait waits until none is under way, or ctx ends.
func (x *closers) wait(ctx context.Context) error {
	x.mu.Lock()
	if x.n == 0 {
		x.mu.Unlock()
		return nil
	}
	if x.idle == nil {
		x.idle = make(chan struct{})
	}
	idle := x.idle
	x.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
