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
	born chan struct{}  // closed when there is a process, or none can be made
	proc *child.Process // set before born is closed; nil: none could be made
	link *link
	up   chan struct{}
	err  error         // set before up is closed
	down chan struct{} // closed at the end

	sending chan struct{} // holds one while a request is being sent

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
	id     uint64
	done   chan struct{}
	proc   *child.Process // the copy, as soon as the zygote or the copy has told; with err set before done is closed
	err    error
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
	life.Background("internal/zygote.(*server).attend")
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
		fresh := s == nil || s.isDown()
		if fresh {
			s, err = launch(current.config)
			current.server = s
		}
		current.Unlock()
		if err != nil || fresh || !s.broken() {
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

// launch starts a zygote. It does not wait for its process, for that may be stopped before it has begun, and with it who waits.
func launch(c Config) (*server, error) {
	arg, err := codec.Append(nil, &setup{Limit: limit(c), HugePages: c.HugePages}, nil)
	if err != nil {
		return nil, err
	}
	l, theirs, err := newLink()
	if err != nil {
		return nil, fmt.Errorf("forkserver: %w", err)
	}
	p, err := child.ServiceCall(serviceName, arg).Pack(&child.Options{Name: "zygote"}, func(o *child.Orders) {
		o.Segments, o.Default = 0, 0 // its copies join what they need
	})
	if err != nil {
		l.close()
		theirs.Close()
		return nil, fmt.Errorf("forkserver: start the zygote: %w", err)
	}
	p.Service = true
	s := &server{
		link: l, born: make(chan struct{}), up: make(chan struct{}), down: make(chan struct{}),
		sending: make(chan struct{}, 1), pending: map[uint64]*request{},
	}
	go s.bear(p, theirs)
	return s, nil
}

// bear makes the process of the zygote.
func (s *server) bear(p *child.Parcel, theirs *os.File) {
	defer theirs.Close()
	var err error
	if s.proc, err = child.Exec(context.Background(), p, []string{zygoteMark + "=1", "GOMAXPROCS=1"}, theirs); err == nil {
		close(s.born)
		go s.listen()
		go s.watch()
		return
	}
	s.proc = nil
	close(s.born)
	s.link.close()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.err = fmt.Errorf("forkserver: start the zygote: %w", err)
	close(s.up)
	close(s.down)
}

func limit(c Config) time.Duration {
	if c.PreloadTimeout > 0 {
		return c.PreloadTimeout
	}
	return 5 * time.Minute
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
	defer s.mu.Unlock()
	r := s.pending[reply.ID]
	if r == nil {
		return
	}
	err := reply.Err()
	if reply.PID > 0 && r.proc == nil {
		r.parcel.Service = r.gone || err != nil
		if e := r.adopt(reply.PID); err == nil {
			err = e
		}
	}
	if reply.Kind == fork.Started && err == nil { // the copy speaks for itself, if it lives so long
		if r.gone {
			_ = r.proc.Kill()
		}
		go s.attend(r, r.proc)
		return
	}
	s.finish(r, err)
}

// adopt makes a process of the copy.
func (r *request) adopt(pid int) error {
	proc, err := os.FindProcess(pid) // a child, so the number is still its own
	if err != nil {
		return err
	}
	fd, _ := sys.OpenProcess(pid)
	r.proc = r.parcel.Adopt(proc, fd)
	return nil
}

// attend waits for a copy to say that it is ready. One that is killed before says nothing, and the zygote, which is not its parent, does not know: then the
// process has begun, and ended. One that says that it has failed ends with an exit code of its own, and what it says comes yet.
func (s *server) attend(r *request, proc *child.Process) {
	select {
	case <-r.done:
		return
	case <-proc.Done():
	}
	if code, _ := proc.ExitCode(); code == fork.FailedChild {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending[r.id] == r {
		s.finish(r, nil)
	}
}

// finish tells what came of a request that is pending, with s.mu held.
func (s *server) finish(r *request, err error) {
	delete(s.pending, r.id)
	r.err = err
	if r.parcel.Mail != nil {
		r.parcel.Mail.Close()
	}
	if r.proc != nil && (r.gone || err != nil) {
		_ = r.proc.Kill() // it may have ended
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
		if r.proc != nil { // it was begun, and stopped or killed before it ran anything
			_ = r.proc.Kill()
			<-r.proc.Done()
			r.proc = nil
		}
		r.err = why
		if err != nil {
			r.err = fmt.Errorf("%w, and what it left cannot be looked after: %w", why, err)
		}
		if r.parcel.Mail != nil {
			r.parcel.Mail.Close()
		}
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
	<-s.born
	if s.proc != nil {
		_ = s.proc.Kill() // it may have ended
	}
	<-s.down
	return nil
}
