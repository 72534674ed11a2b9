package owner

import (
	"errors"
	"os"
	"sync"

	"github.com/fb2d3dbd/multiproc/internal/life"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

func init() { life.Background("internal/owner.(*watches).listen") }

// watches are the participants whose death this process wants to hear of at once. Each is watched by one descriptor of
// its process, in the runtime's poller, however many ask; it is closed when nobody asks any more.
//
// What is heard is a hint: a pid says who somebody was. Proof is Alive's alone.
type watches struct {
	mu     sync.Mutex
	closed bool
	by     map[uint32]*watch // by token
}

type watch struct {
	fd  *sys.ProcessFD
	fns map[*func()]struct{} // called, each on a goroutine of its own, when the process has ended
}

// Watch arranges that fn is called once, on a goroutine of its own, when the process of the participant with this token
// has ended: at once if it is gone already, and also when the table is closed here. stop undoes it; a call that has begun goes on.
// Where the process cannot be watched (it has joined from another pid namespace, or is this one, or the platform cannot), fn is never
// called: whoever waits for a death looks now and then in any case.
func (t *Table) Watch(tok uint32, fn func()) (stop func()) {
	ws := &t.watches
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed {
		go fn()
		return func() {}
	}
	w := ws.by[tok]
	if w == nil {
		fd, gone := t.openProcess(tok)
		if gone {
			go fn()
		}
		if fd == nil {
			return func() {}
		}
		w = &watch{fd: fd, fns: map[*func()]struct{}{}}
		if ws.by == nil {
			ws.by = map[uint32]*watch{}
		}
		ws.by[tok] = w
		go ws.listen(tok, w)
	}
	key := &fn
	w.fns[key] = struct{}{}
	return func() { ws.drop(tok, w, key) }
}

// openProcess opens the process of a participant; gone says that there is none any more, or that it is dead.
func (t *Table) openProcess(tok uint32) (fd *sys.ProcessFD, gone bool) {
	pid, start, ok := t.holder(tok)
	if !ok {
		return nil, true
	}
	if pid == os.Getpid() || start == 0 {
		return nil, false
	}
	fd, err := sys.OpenProcess(pid)
	if err != nil {
		return nil, errors.Is(err, os.ErrProcessDone)
	}
	// Only now that the pid cannot be given to another: is it the process that wrote itself into the record, and in this pid
	// namespace? And if it has ended meanwhile, who watches has to hear of it.
	now, err := sys.StartTime(pid)
	switch {
	case err == nil && now == start && t.Alive(tok):
		return fd, false
	case err == nil && now != start:
		gone = !t.Alive(tok)
	default:
		gone = true
	}
	fd.Close()
	return nil, gone
}

// listen calls who watches when the process has ended. It returns then, or when the last has stopped watching.
func (ws *watches) listen(tok uint32, w *watch) {
	err := w.fd.Wait()
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if err != nil || ws.by[tok] != w { // closed by drop or close, who did the rest
		return
	}
	delete(ws.by, tok)
	w.fire()
}

func (w *watch) fire() {
	w.fd.Close()
	for fn := range w.fns {
		go (*fn)()
	}
	clear(w.fns)
}

func (ws *watches) drop(tok uint32, w *watch, key *func()) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(w.fns, key)
	if len(w.fns) == 0 && ws.by[tok] == w {
		delete(ws.by, tok)
		w.fd.Close()
	}
}

// CloseWatches ends all watches, and calls who watches: what they wait for will not come any more. Later ones are called at once.
func (t *Table) CloseWatches() {
	ws := &t.watches
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.closed = true
	for _, w := range ws.by {
		w.fire()
	}
	ws.by = nil
}
