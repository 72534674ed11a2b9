package manager

import (
	"context"
	"io"
	"testing"
	"time"
)

// fakeLink plays frames to who receives, and forgets what is sent.
type fakeLink struct {
	frames [][]byte
	sent   int
}

func (l *fakeLink) send(context.Context, []byte) error { l.sent++; return nil }
func (l *fakeLink) trySend([]byte) (bool, error)       { l.sent++; return true, nil }
func (l *fakeLink) close()                             {}
func (l *fakeLink) local() bool                        { return true }
func (l *fakeLink) recv(context.Context) ([]byte, error) {
	if len(l.frames) == 0 {
		return nil, io.EOF
	}
	f := l.frames[0]
	l.frames = l.frames[1:]
	return f, nil
}

// cutUp makes frames of what the fuzzer has made: each is a byte of length and as many bytes.
func cutUp(data []byte) (all [][]byte) {
	for len(data) > 0 && len(all) < 64 {
		n := min(int(data[0]), len(data)-1)
		all = append(all, data[1:1+n:1+n])
		data = data[1+n:]
	}
	return all
}

func frame(b []byte) []byte { return append([]byte{byte(len(b))}, b...) }

// FuzzFrames has a client send anything. The server neither panics nor hangs, and goes on for others.
func FuzzFrames(f *testing.F) {
	seed := func(frames ...[]byte) {
		var all []byte
		for _, b := range frames {
			all = append(all, frame(b)...)
		}
		f.Add(all)
	}
	call := func(what op, id, object uint64, rest ...byte) []byte {
		return append(begin(nil, what, id, object), rest...)
	}
	one := value{data: []byte("1")}.append(nil)
	for k := kindDict; k <= kindSegment; k++ { // object 1 is of this kind, and all operations come
		var all []byte
		made := appendBytes([]byte{0, 0, nameMaybe}, appendValues(nil, []value{{data: one}}))
		all = append(all, frame(append(call(opNew, 1, 0, byte(k)), made...))...)
		for o := opCancel; o < opGet+64; o++ {
			all = append(all, frame(append(append(call(o, uint64(o)+2, 1), one...), one...))...)
		}
		f.Add(all)
	}
	seed(call(opPing, 1, 0), call(opCancel, 1, 0), call(opBye, 0, 0))
	seed(call(opGet, 1, 99), call(opStats, 2, 0), call(opConfirm, 9, 0), call(opRefer, 3, 1, 200, 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := NewServer(&ServerOptions{Key: []byte("key"), Linger: -1, MaxCalls: 100, MaxMessage: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		s.table.last = 0 // so that the fuzzer finds its objects
		x, err := s.session(t.Context(), &hello{})
		if err != nil {
			t.Fatal(err)
		}
		l := &fakeLink{frames: cutUp(data)}
		if !x.attach(l) {
			t.Fatal("no session")
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			x.read(l)
			x.detach(false)
		}()
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			panic("the session does not end")
		}
		if st := s.Stats(); st.Sessions != 0 || st.Held != 0 {
			t.Fatalf("the session has left something: %+v", st)
		}
		other, err := s.session(t.Context(), &hello{})
		if err != nil {
			t.Fatal(err)
		}
		again := &fakeLink{frames: [][]byte{call(opPing, 1, 0)}}
		other.attach(again)
		other.read(again)
		other.detach(false)
		if again.sent != 1 {
			t.Fatal("the server does not answer any more")
		}
	})
}

// FuzzAnswers has a server send anything. Calls return an error or what can be read, and neither panic nor hang.
func FuzzAnswers(f *testing.F) {
	for st := isDone; st <= isGoodbye; st++ {
		f.Add(append(frame(append(head(nil, st, 1), 0, 1, 2)), frame(append(head(nil, st, 2), 1, 'x', 0))...))
		f.Add(frame(append(head(nil, st, 1), 5, 1, 1, 1, 1, 1, 0)))
	}
	f.Add(frame(frameError(nil, 1, ErrKey)))
	f.Add(frame(frameError(nil, 1, failed(io.EOF))))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := newManager("none", "")
		m.cur.Store(newClient(&fakeLink{frames: cutUp(data)}))
		r := &ref{m: m, id: 1, kind: kindDict}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		d, l := &Dict[string, int]{r}, &List[string]{r}
		_, _ = d.Get(ctx, "a")
		_, _ = d.Copy(ctx)
		_, _, _ = d.Swap(ctx, "a", 1)
		_, _ = d.GetAll(ctx, "a", "b")
		_, _, _ = d.PopItem(ctx)
		_, _ = d.Len(ctx)
		_, _ = l.Copy(ctx)
		_, _ = l.Index(ctx, "a")
		_, _ = m.Stats(ctx)
		if ctx.Err() != nil {
			t.Fatal("a call hung")
		}
	})
}

// FuzzHandle reads handles of proxies from anything.
func FuzzHandle(f *testing.F) {
	h := handle{server: 1 << 60, network: "ring", address: "@x", key: []byte("key"), kind: kindList, typ: "int", object: 77, ticket: 3}
	f.Add(h.append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var h, again handle
		if h.read(data) != nil {
			return
		}
		if err := again.read(h.append(nil)); err != nil || string(again.append(nil)) != string(h.append(nil)) {
			t.Fatalf("%+v came back as %+v, %v", h, again, err)
		}
	})
}
