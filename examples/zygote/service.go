package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc"
)

type request struct {
	ID  int
	Key uint64
}

type answer struct {
	ID    int
	Value uint64
	Found bool
	PID   int // of the server
}

// A job is what a server works on.
type job struct {
	Requests *multiproc.Queue[request]
	Answers  *multiproc.Queue[answer]
	Up       *multiproc.Event // set when it serves
}

// serve answers until the requests are closed. It acknowledges a request when its answer is on the way: one that it dies with is handed to
// another server, and may be answered twice.
var serve = multiproc.NewTarget("serve", func(ctx context.Context, j job) error {
	if err := j.Up.Set(); err != nil {
		return err
	}
	for {
		r, err := j.Requests.Receive(ctx)
		if errors.Is(err, multiproc.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		value, found := lookup(r.Value.Key)
		if err := j.Answers.Put(ctx, answer{r.Value.ID, value, found, os.Getpid()}); err != nil {
			return err
		}
		if err := r.Ack(); err != nil {
			return err
		}
	}
})

// A service is servers that take requests from one queue.
type service struct {
	requests *multiproc.Queue[request]
	answers  *multiproc.Queue[answer]
	starts   chan start

	mu      sync.Mutex
	servers []*multiproc.Process // that run
}

// A start tells of a server that has begun to serve.
type start struct {
	took  time.Duration
	after error // what the server died of whose place it takes; nil for the first there
}

func newService() (s *service, err error) {
	s = &service{starts: make(chan start, 16)}
	if s.requests, err = multiproc.NewQueue[request](nil); err != nil {
		return nil, err
	}
	if s.answers, err = multiproc.NewQueue[answer](nil); err != nil {
		return nil, errors.Join(err, s.requests.Free())
	}
	return s, nil
}

func (s *service) free() error { return errors.Join(s.requests.Free(), s.answers.Free()) }

// keep has a server running until the requests are closed or ctx ends: when it dies another takes its place.
func (s *service) keep(ctx context.Context) error {
	var died error
	for {
		p, took, err := s.start(ctx)
		if err != nil {
			return err
		}
		select {
		case s.starts <- start{took, died}:
		case <-ctx.Done():
		}
		died = p.Wait(ctx)
		if err := s.end(p); err != nil || died == nil || ctx.Err() != nil {
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// start starts a server and returns how long it took until it served.
func (s *service) start(ctx context.Context) (*multiproc.Process, time.Duration, error) {
	up, err := multiproc.NewEvent()
	if err != nil {
		return nil, 0, err
	}
	defer up.Free()
	begin := time.Now()
	p, err := serve.Start(ctx, job{s.requests, s.answers, up}, &multiproc.ProcessOptions{Method: multiproc.ForkServer})
	if err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	s.servers = append(s.servers, p)
	s.mu.Unlock()
	if _, err := multiproc.Wait(ctx, up, p); err != nil { // one that dies before is up ends the wait, too
		return nil, 0, errors.Join(err, s.end(p))
	}
	return p, time.Since(begin), nil
}

// end sees to it that a server has ended, and forgets it.
func (s *service) end(p *multiproc.Process) error {
	_ = p.Kill()                     // it may have ended
	_ = p.Wait(context.Background()) // says what it ended of
	s.mu.Lock()
	s.servers = slices.DeleteFunc(s.servers, func(other *multiproc.Process) bool { return other == p })
	s.mu.Unlock()
	return p.Close()
}

func (s *service) running() []*multiproc.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.servers)
}
