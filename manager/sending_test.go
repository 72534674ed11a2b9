package manager

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// unsureLink puts frames and then says that it has ended.
type unsureLink struct{ fakeLink }

func (l *unsureLink) send(context.Context, []byte) error { l.sent++; return errUnsure }

// TestUnsure does not repeat a call whose frame may have been put when the rings ended.
func TestUnsure(t *testing.T) {
	m := newManager("none", "")
	l := &unsureLink{}
	m.cur.Store(newClient(l))
	if _, err := (&List[string]{&ref{m: m, id: 1, kind: kindList}}).Len(t.Context()); !errors.Is(err, ErrLost) || l.sent != 1 {
		t.Errorf("sent %d times; %v", l.sent, err)
	}
}

// A slowLink has a peer that sends and does not receive.
type slowLink struct {
	fakeLink
	take chan struct{}
	mu   sync.Mutex
	read int
}

func (l *slowLink) trySend([]byte) (bool, error) { return false, nil }
func (l *slowLink) send(ctx context.Context, _ []byte) error {
	select {
	case <-l.take:
	case <-ctx.Done():
	}
	return ctx.Err()
}

func (l *slowLink) recv(ctx context.Context) ([]byte, error) {
	l.mu.Lock()
	l.read++
	l.mu.Unlock()
	return l.fakeLink.recv(ctx)
}

// TestSlowClient asks a client that takes no answers for no more, also when the answer to a call that has waited is in its way.
func TestSlowClient(t *testing.T) {
	s, err := NewServer(&ServerOptions{Key: []byte("key"), Linger: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	x, err := s.session(t.Context(), &hello{})
	if err != nil {
		t.Fatal(err)
	}
	l := &slowLink{take: make(chan struct{})}
	for id := range uint64(1000) {
		l.frames = append(l.frames, begin(nil, opPing, id+1, 0))
	}
	if !x.attach(l) {
		t.Fatal("no session")
	}
	x.send(head(nil, isDone, 5000))
	done := make(chan struct{})
	go func() {
		defer close(done)
		x.read(l)
		x.detach(false)
	}()
	select {
	case <-done:
		t.Error("all was read")
	case <-time.After(50 * time.Millisecond): // the more time it has, the more it would read
	}
	l.mu.Lock()
	if l.read > 2*fewAnswers {
		t.Errorf("%d frames were read whose answers nobody takes", l.read)
	}
	l.mu.Unlock()
	close(l.take)
	<-done
}

// A stuckLink passes nothing on before its peer has received.
type stuckLink struct {
	fakeLink
	taken chan struct{}
	once  sync.Once
}

func (l *stuckLink) send(ctx context.Context, frame []byte) error {
	if op(frame[0]) != opCancel {
		return nil
	}
	select {
	case <-l.taken:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *stuckLink) recv(ctx context.Context) ([]byte, error) {
	if ctx.Err() != nil || len(l.frames) == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	l.once.Do(func() { close(l.taken) })
	return l.fakeLink.recv(ctx)
}

// TestCancelBothWays receives while it tells a server that a call was given up, for the server may take nothing before what it has sent was taken.
func TestCancelBothWays(t *testing.T) {
	m := newManager("none", "")
	l := &stuckLink{taken: make(chan struct{})}
	c := newClient(l)
	m.cur.Store(c)
	q := m.request(opPing, 0)
	l.frames = [][]byte{head(nil, isDone, q.id)}
	c.mu.Lock()
	c.calls[q.id], q.c = q, c
	c.mu.Unlock()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.await(ended, q); err != nil || !c.alive() {
		t.Error(err)
	}
	q.release()
}

// TestGetMany makes no answer that is much longer than one may be.
func TestGetMany(t *testing.T) {
	s, err := NewServer(&ServerOptions{MaxMessage: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	key := value{data: []byte("k")}
	d := &dictEntity{s: s, m: map[string]*entry{}}
	d.set(key, value{data: make([]byte, 500)})
	keys := make([]value, 1000)
	for i := range keys {
		keys[i] = key
	}
	b, _, err := d.perform(&call{op: opGetMany}, &reader{b: appendValues(nil, keys)}, nil)
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
