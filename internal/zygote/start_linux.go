package zygote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/child"
	"github.com/fb2d3dbd/multiproc/internal/fork"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// Start is for the packages above, which have the call encoded.
func Start(ctx context.Context, call *child.Call, o *child.Options) (*child.Process, error) {
	if err := child.Check(ctx); err != nil {
		return nil, err
	}
	if err := Available(); err != nil {
		return nil, err
	}
	if o != nil && o.Executable != "" {
		return nil, fmt.Errorf("forkserver: start %q: Options.Executable is %q, and a copy of the zygote runs no other program", call.Target, o.Executable)
	}
	var err error
	for range attempts {
		var s *server
		if s, err = get(ctx); err != nil {
			return nil, err
		}
		var p *child.Process
		if p, err = s.start(ctx, call, o); err == nil || !errors.Is(err, errLost) {
			return p, err
		}
	}
	return nil, fmt.Errorf("forkserver: start %q: %w: %w", call.Target, ErrDied, err)
}

// attempts is how many zygotes may die under one start.
const attempts = 5

// start asks this zygote. An error that matches errLost says that the process was not started and that another may be asked.
func (s *server) start(ctx context.Context, call *child.Call, o *child.Options) (*child.Process, error) {
	select {
	case <-s.up:
	case <-ctx.Done():
		return nil, fmt.Errorf("forkserver: start %q: the zygote is not ready, %s: %w", call.Target, s.progress(), ctx.Err())
	}
	if s.err != nil {
		return nil, s.err
	}
	p, err := call.Pack(o, func(orders *child.Orders) { orders.Env = optionsOf(o).Environ() })
	if err != nil {
		return nil, err
	}
	r := &request{parcel: p, done: make(chan struct{})}
	if err := s.ask(ctx, r); err != nil {
		return nil, err
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if !s.leave(r) { // it is done already, and a process that runs is better than none
			select {
			case <-r.done:
				if r.err == nil {
					return r.proc, nil
				}
			default: // the zygote is being buried
			}
		}
		return nil, fmt.Errorf("forkserver: start %q: the zygote has not answered: %w", call.Target, ctx.Err())
	}
	if r.err != nil {
		return nil, fmt.Errorf("forkserver: start %q: %w", p.Name, r.err)
	}
	return r.proc, nil
}

// leave says that nobody waits for a request any more, unless it was carried out already. Its copy, which may be stopped, has nothing to do.
func (s *server) leave(r *request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending[r.id] != r {
		return false
	}
	r.gone = true
	if r.proc != nil {
		_ = r.proc.Kill() // attend tells its end
	}
	return true
}

func optionsOf(o *child.Options) *child.Options {
	if o == nil {
		return &child.Options{}
	}
	return o
}

func (s *server) progress() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.State == loading {
		return fmt.Sprintf("preload %q runs", s.last.Name)
	}
	return "it was just started"
}

// ask sends the request. What becomes of it is told by r.done.
func (s *server) ask(ctx context.Context, r *request) error {
	p := r.parcel
	defer func() { // the zygote has copies
		for _, f := range p.Segments {
			f.Close()
		}
	}()
	if n := child.ArrivalFDs + len(p.Segments); n > fork.MaxRequestFDs {
		p.Mail.Close()
		return fmt.Errorf("forkserver: start %q: %w: its argument has handles of %d, and a request carries %d: pass fewer, allocate more objects in each, or use package spawn",
			p.Name, ErrTooManySegments, len(p.Segments), fork.MaxRequestFDs-child.ArrivalFDs)
	}
	path := p.Options.Dir
	if path == "" {
		path = "."
	}
	dir, err := sys.OpenDir(path)
	if err != nil {
		p.Mail.Close()
		return fmt.Errorf("forkserver: start %q: %w", p.Name, &os.PathError{Op: "chdir", Path: path, Err: err})
	}
	defer sys.CloseFD(dir)
	fds, err := descriptors(append(p.Stdio[:len(p.Stdio):len(p.Stdio)], append([]*os.File{p.Mail}, p.Segments...)...))
	if err != nil {
		p.Mail.Close()
		return fmt.Errorf("forkserver: start %q: %w", p.Name, err)
	}
	s.mu.Lock()
	if s.closed || s.why != nil {
		err := s.why
		s.mu.Unlock()
		p.Mail.Close()
		if err == nil {
			err = errLost
		}
		return err
	}
	s.next++
	id := s.next
	r.id = id
	s.pending[id] = r
	s.mu.Unlock()
	if err := s.send(ctx, fork.AppendRequest(nil, id, nil), append([]int{dir}, fds...)); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed || errors.Is(err, sys.EPIPE) || errors.Is(err, sys.ECONNRESET) || s.pending[id] == nil {
			return nil // listen has found out, or is about to, and tells
		}
		delete(s.pending, id)
		p.Mail.Close()
		if ctx.Err() != nil {
			return fmt.Errorf("forkserver: start %q: the zygote takes no requests: %w", p.Name, ctx.Err())
		}
		return fmt.Errorf("forkserver: start %q: ask the zygote: %w", p.Name, err)
	}
	return nil
}

// send sends a message, one caller at a time. It waits while the zygote has as many unread as the socket holds, which may be for long when somebody has stopped it;
// if ctx ends first it has sent nothing.
func (s *server) send(ctx context.Context, b []byte, fds []int) error {
	select {
	case s.sending <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.sending }()
	wake := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(wake)
		_ = s.link.f.SetWriteDeadline(time.Unix(1, 0)) // it fails when the link is closed, which wakes too
	})
	err := s.link.send(b, fds)
	if !stop() {
		<-wake
		_ = s.link.f.SetWriteDeadline(time.Time{})
	}
	return err
}

// descriptors returns those of files, which stay as they are.
func descriptors(files []*os.File) ([]int, error) {
	fds := make([]int, len(files))
	for i, f := range files {
		rc, err := f.SyscallConn()
		if err == nil {
			err = rc.Control(func(fd uintptr) { fds[i] = int(fd) })
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
	}
	return fds, nil
}
