package main

import (
	"context"
	"errors"
	"fmt"
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
	job    job
	ctx    context.Context // of the servers; its cause is what went wrong with one
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	servers []*multiproc.Process // that run
	kept    sync.WaitGroup       // one for each server

	replaced chan struct{} // a server that died has been replaced
}

func newService() (s *service, err error) {
	s = &service{replaced: make(chan struct{}, 1)}
	if s.job.Requests, err = multiproc.NewQueue[request](nil); err != nil {
		return nil, err
	}
	if s.job.Answers, err = multiproc.NewQueue[answer](nil); err != nil {
		return nil, errors.Join(err, s.job.Requests.Free())
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s, nil
}

// close lets the servers finish, and ends them if they do not.
func (s *service) close() error {
	err := s.job.Requests.Close()
	finished := time.AfterFunc(5*time.Second, func() { s.cancel(errors.New("a server did not finish")) })
	s.kept.Wait()
	finished.Stop()
	err = errors.Join(err, context.Cause(s.ctx))
	s.cancel(nil)
	return errors.Join(err, s.job.Requests.Free(), s.job.Answers.Free())
}

// add starts a server, and has another take its place whenever it dies.
func (s *service) add(ctx context.Context) (took time.Duration, err error) {
	p, took, err := s.start(ctx)
	if err != nil {
		return 0, err
	}
	s.kept.Go(func() {
		for p != nil {
			p = s.keep(p)
		}
	})
	return took, nil
}

// start starts a server and returns how long it took until it served.
func (s *service) start(ctx context.Context) (*multiproc.Process, time.Duration, error) {
	j, err := s.job, error(nil)
	if j.Up, err = multiproc.NewEvent(); err != nil {
		return nil, 0, err
	}
	defer j.Up.Free()
	begin := time.Now()
	p, err := serve.Start(ctx, j, &multiproc.ProcessOptions{Method: multiproc.ForkServer})
	if err != nil {
		return nil, 0, err
	}
	if _, err := multiproc.Wait(ctx, j.Up, p); err != nil { // one that dies before is seen by keep
		return nil, 0, errors.Join(err, end(p))
	}
	took := time.Since(begin)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers = append(s.servers, p)
	return p, took, nil
}

// end kills a process, which may have ended.
func end(p *multiproc.Process) error {
	_ = p.Kill()
	_ = p.Wait(context.Background()) // says what it ended of
	return p.Close()
}

// keep waits for the end of a server and returns the one that took its place, or nil when no other is wanted.
func (s *service) keep(p *multiproc.Process) *multiproc.Process {
	died := p.Wait(s.ctx)
	s.mu.Lock()
	s.servers = slices.DeleteFunc(s.servers, func(other *multiproc.Process) bool { return other == p })
	s.mu.Unlock()
	if err := end(p); err != nil {
		s.cancel(err)
	}
	if died == nil || s.ctx.Err() != nil {
		return nil
	}
	next, took, err := s.start(s.ctx)
	if err != nil {
		s.cancel(err)
		return nil
	}
	fmt.Printf("%v; another took its place in %v\n", died, took.Round(10*time.Microsecond))
	select {
	case s.replaced <- struct{}{}:
	default:
	}
	return next
}

func (s *service) running() []*multiproc.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.servers)
}

// ask asks for records all over the index and checks the answers. When a third of them is there it kills a server, and it returns when another
// has taken its place.
func (s *service) ask(ctx context.Context, o options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })()
	keys := make([]uint64, o.requests)
	for i := range keys {
		keys[i] = keyOf(int(uint64(i) * 7_919 % uint64(recordsIn(o.mib))))
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() {
		for id, key := range keys {
			if err := s.job.Requests.Put(ctx, request{id, key}); err != nil {
				cancel(err)
				return
			}
		}
	})
	answered := make([]bool, len(keys))
	for n := 0; n < len(keys); {
		a, err := s.job.Answers.Get(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			cancel(err)
			return err
		case !a.Found || a.Value != valueOf(keys[a.ID]):
			cancel(errors.New("a wrong answer"))
			return fmt.Errorf("server %d says %d of key %d", a.PID, a.Value, keys[a.ID])
		case answered[a.ID]:
			continue
		}
		answered[a.ID] = true
		if n++; n == (len(keys)+2)/3 {
			for _, p := range s.running() {
				if p.PID() == a.PID {
					if err := p.Kill(); err != nil {
						return err
					}
				}
			}
		}
	}
	select {
	case <-s.replaced:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
