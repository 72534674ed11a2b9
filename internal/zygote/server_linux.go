package zygote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/child"
	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/internal/fork"
	"github.com/fb2d3dbd/multiproc/internal/life"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// A server is one zygote, as the process sees it that asks it.
//
//	loading  up is open                 requests wait
//	loaded   up is closed, err is nil   requests are sent; each is in pending until the child is complete or cannot be
//	down     down is closed             nothing of it runs any more: what is pending was not started, and is asked of another
//
// listen alone changes the state; it ends when the zygote and all copies that were about to become children are gone.
type server struct {
	proc *child.Process
	link *link
	up   chan struct{}
	err  error         // set before up is closed
	down chan struct{} // closed at the end

	mu      sync.Mutex
	next    uint64
	pending map[uint64]*request
	closed  bool  // pending takes no more
	why     error // what became of the zygote, if that is known
	last    news
}

// A request is a start that was asked of a zygote.
type request struct {
	parcel *child.Parcel
	done   chan struct{}
	proc   *child.Process // set before done is closed, as err
	err    error
	pid    int  // of the copy, when the zygote has told
	gone   bool // nobody waits for it any more
}

// errLost says that the zygote died before the request was carried out, and that it will not be.
var errLost = errors.New("the zygote died")

// current is this process's zygote.
var current struct {
	sync.Mutex
	*server
	config Config
}

func init() {
	life.Background("internal/zygote.(*server).listen")
	life.Background("internal/zygote.(*server).watch")
	life.OnFork(life.Processes, func() error { // the zygote is the parent's, and its socket admits nobody else
		if s := current.server; s != nil {
			s.link.close()
			current.server = nil
		}
		return nil
	})
}

// Configure says how zygotes are made from now on. One that runs already stays as it is; see [Stop].
func Configure(c Config) {
	current.Lock()
	defer current.Unlock()
	current.config = c
}

// get returns a zygote that is loading or loaded. It waits for the end of one that is known to be of no use.
func get(ctx context.Context) (*server, error) {
	for {
		current.Lock()
		s := current.server
		var err error
		if s == nil || s.isDown() {
			s, err = launch(current.config)
			current.server = s
		}
		current.Unlock()
		if err != nil || !s.broken() {
			return s, err
		}
		select {
		case <-s.down:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *server) isDown() bool {
	select {
	case <-s.down:
		return true
	default:
		return false
	}
}

// broken reports whether it is over with this zygote, though it may not have ended yet.
func (s *server) broken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed || s.why != nil
}

// launch starts a zygote.
func launch(c Config) (*server, error) {
	arg, err := codec.Append(nil, &setup{Limit: limit(c), HugePages: c.HugePages}, nil)
	if err != nil {
		return nil, err
	}
	l, theirs, err := newLink()
	if err != nil {
		return nil, fmt.Errorf("forkserver: %w", err)
	}
	defer theirs.Close()
	p, err := child.ServiceCall(serviceName, arg).Pack(&child.Options{Name: "zygote"}, func(o *child.Orders) {
		o.Segments, o.Default = 0, 0 // its copies join what they need
	})
	if err == nil {
		p.Service = true
		s := &server{link: l, up: make(chan struct{}), down: make(chan struct{}), pending: map[uint64]*request{}}
		if s.proc, err = child.Exec(context.Background(), p, []string{zygoteMark + "=1", "GOMAXPROCS=1"}, theirs); err == nil {
			go s.listen()
			go s.watch()
			return s, nil
		}
	}
	l.close()
	return nil, fmt.Errorf("forkserver: start the zygote: %w", err)
}

func limit(c Config) time.Duration {
	if c.Limit > 0 {
		return c.Limit
	}
	return 5 * time.Minute
}

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
		s.mu.Lock()
		r.gone = true
		s.mu.Unlock()
		select {
		case <-r.done: // it was done already, and a process that runs is better than none
			if r.err == nil {
				return r.proc, nil
			}
		default:
		}
		return nil, fmt.Errorf("forkserver: start %q: the zygote has not answered: %w", call.Target, ctx.Err())
	}
	if r.err != nil {
		return nil, fmt.Errorf("forkserver: start %q: %w", p.Name, r.err)
	}
	return r.proc, nil
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
	s.pending[id] = r
	s.mu.Unlock()
	if err := s.link.send(fork.AppendRequest(nil, id, nil), append([]int{dir}, fds...)); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed || errors.Is(err, sys.EPIPE) || errors.Is(err, sys.ECONNRESET) || s.pending[id] == nil {
			return nil // listen has found out, or is about to, and tells
		}
		delete(s.pending, id)
		p.Mail.Close()
		return fmt.Errorf("forkserver: start %q: ask the zygote: %w", p.Name, err)
	}
	return nil
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

// watch sees to it that listen comes to its end when the zygote has died and a copy of it, stopped by somebody before it has let go of the
// socket, does not.
func (s *server) watch() {
	<-s.proc.Done()
	select {
	case <-s.down:
	case <-time.After(orphanPatience):
		s.link.close()
	}
}

// orphanPatience is how long a copy may take to become a child after the zygote has died.
const orphanPatience = 5 * time.Second

// listen reads what the zygote and its copies say, until all are gone.
func (s *server) listen() {
	buf := make([]byte, newsSize)
	for {
		b, err := s.link.receive(buf)
		if err != nil || len(b) == 0 {
			break
		}
		if text, ok := strings.CutPrefix(string(b), newsMark); ok {
			var n news
			if codec.Decode([]byte(text), &n) == nil {
				s.hear(&n)
			}
			continue
		}
		if r, err := fork.ParseReply(b); err == nil {
			s.settle(r)
		}
	}
	s.bury()
}

// hear takes note of what the zygote says of itself.
func (s *server) hear(n *news) {
	s.mu.Lock()
	s.last = *n
	s.mu.Unlock()
	switch n.State {
	case loaded:
		close(s.up)
	case failed:
		s.fail(&PreloadError{Name: n.Name, Text: n.Text, Stack: n.Stack})
	}
}

// fail notes why a zygote is of no use. It is about to end.
func (s *server) fail(err error) {
	s.mu.Lock()
	s.why = err
	s.mu.Unlock()
	select {
	case <-s.up:
	default:
		s.err = err
		close(s.up)
	}
}

// settle does what a reply asks for.
func (s *server) settle(reply fork.Reply) {
	s.mu.Lock()
	r := s.pending[reply.ID]
	if r == nil {
		s.mu.Unlock()
		return
	}
	if reply.PID > 0 {
		r.pid = reply.PID
	}
	if reply.Kind == fork.Started { // the copy speaks for itself
		s.mu.Unlock()
		return
	}
	delete(s.pending, reply.ID)
	gone := r.gone
	s.mu.Unlock()

	r.err = reply.Err()
	if r.pid > 0 {
		proc, err := os.FindProcess(r.pid) // a child, so the number is still its own
		if err == nil {
			fd, _ := sys.OpenProcess(r.pid)
			r.parcel.Service = gone || r.err != nil
			r.proc = r.parcel.Adopt(proc, fd)
		} else if r.err == nil {
			r.err = err
		}
	}
	if r.parcel.Mail != nil {
		r.parcel.Mail.Close()
	}
	if r.proc != nil && (gone || r.err != nil) {
		_ = r.proc.Kill()
	}
	close(r.done)
}

// bury takes note that the zygote has died: what it was asked and has not begun, it will not. A copy of which nobody was told, because the zygote
// was killed in between, is killed too: it never came so far as to run anything.
func (s *server) bury() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.link.close()
	_ = s.proc.Kill()
	<-s.proc.Done()
	select {
	case <-s.up:
	default:
		s.err = s.lastWords()
		close(s.up)
	}
	s.mu.Lock()
	lost, why := s.pending, s.why
	s.pending = nil
	s.mu.Unlock()
	err := child.Strays()
	if why == nil {
		why = errLost
	}
	for _, r := range lost {
		r.err = why
		if err != nil {
			r.err = fmt.Errorf("%w, and what it left cannot be looked after: %w", why, err)
		}
		r.parcel.Mail.Close()
	}
	close(s.down)
	for _, r := range lost {
		close(r.done)
	}
}

// lastWords says why a zygote has died that was not ready.
func (s *server) lastWords() error {
	err := s.proc.Wait(context.Background())
	text := "it ended before it was ready"
	var exit *child.ExitError
	if errors.As(err, &exit) {
		text = fmt.Sprintf("%s: %v", text, exit)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &PreloadError{Text: text}
	if s.last.State == loading {
		e.Name = s.last.Name
	}
	if exit != nil {
		e.Stack = exit.Stack
		if exit.Code < 0 { // somebody has killed it: another may have more luck
			return fmt.Errorf("%w: %w", errLost, e)
		}
	}
	return e
}

// EnsureRunning starts the zygote, if it does not run, and waits until it has preloaded. Start does so by itself: this is for whoever wants the first start to
// be as fast as the others.
func EnsureRunning(ctx context.Context) error {
	if err := child.Check(ctx); err != nil {
		return err
	}
	if err := Available(); err != nil {
		return err
	}
	s, err := get(ctx)
	if err != nil {
		return err
	}
	select {
	case <-s.up:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("forkserver: the zygote is not ready, %s: %w", s.progress(), ctx.Err())
	}
}

// Stop ends the zygote, if there is one, and returns when it has gone. Its children go on. The next Start makes a new one.
func Stop() error {
	current.Lock()
	s := current.server
	current.server = nil
	current.Unlock()
	if s == nil {
		return nil
	}
	_ = s.proc.Kill() // it may have ended
	<-s.down
	return nil
}
