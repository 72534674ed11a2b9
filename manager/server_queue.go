package manager

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
)

// queueEntity is a Queue or a JoinableQueue. An item is in one place at a time:
//
//	puts      its Put waits for room
//	items     it waits to be taken
//	given     of a Queue: an answer has it, which the client has not confirmed
//	hands     of a JoinableQueue: a session has it, and has not said Done
//
// What comes back from the last two comes to where it was in items: before all that was put later.
type queueEntity struct {
	s    *Server
	work bool // a JoinableQueue

	mu         sync.Mutex
	max        int // items that wait; more come back than fit when clients die
	last       uint64
	items      []*item // in the order in which they were put
	given      int
	hands      map[*session][]*item
	unfinished int
	closed     bool
	gone       bool
	puts       waiters[*putWaiter]
	gets       waiters[*getWaiter]
	joins      []*joinWaiter
}

type item struct {
	seq  uint64
	v    value
	call uint64 // that took it, of a JoinableQueue
}

type putWaiter struct {
	c *call
	v value
}

type getWaiter struct {
	c   *call
	max int
}

// A joinWaiter waits for the items up to seq, of which some are not done.
type joinWaiter struct {
	c    *call
	seq  uint64
	left int
}

func init() {
	for _, k := range []kind{kindQueue, kindJoinableQueue} {
		makers[k] = func(_ context.Context, s *Server, _ string, r *reader) (entity, error) {
			n := r.uint() // 0: without a limit
			if n == 0 || n > math.MaxInt32 {
				n = math.MaxInt32
			}
			return &queueEntity{s: s, work: k == kindJoinableQueue, max: int(n), hands: map[*session][]*item{}}, nil
		}
	}
}

func (e *queueEntity) do(c *call, r *reader, b []byte) ([]byte, error) {
	switch c.op {
	case opPut:
		return b, e.put(c, r)
	case opGet:
		try, limit := r.bool(), r.uint()
		if err := r.err(); err != nil {
			return nil, err
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.get(&getWaiter{c, int(min(max(limit, 1), maxBatch))}, try, b)
	case opDone, opJoin, opUnfinished:
		if err := r.err(); err != nil {
			return nil, err
		}
		if !e.work {
			break
		}
		if c.op == opDone {
			return b, e.done(c.s)
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if c.op == opUnfinished {
			return appendUint(b, e.unfinished), nil
		}
		return b, e.join(c)
	case opClose:
		if err := r.err(); err != nil {
			return nil, err
		}
		e.close()
		return b, nil
	case opState:
		e.mu.Lock()
		defer e.mu.Unlock()
		return appendUint(appendUint(b, len(e.items)), e.max), r.err()
	}
	return nil, refuse(ErrProtocol, "operation %d of a %v", c.op, c.obj.kind)
}

// maxBatch is the most items of one Get.
const maxBatch = 1 << 12

func (e *queueEntity) put(c *call, r *reader) error {
	try, v := r.bool(), r.value()
	if err := r.err(); err != nil {
		return err
	}
	if n := len(v.data) + 10*len(v.refs) + 64; n > e.s.o.MaxMessage { // who gets it has to have it in one message
		return refuse(ErrTooLarge, "a value of %d bytes; at most %d are allowed", len(v.data), e.s.o.MaxMessage-64)
	}
	if err := e.s.retain(v.refs); err != nil {
		return err
	}
	err := e.enter(c, try, v)
	if err != nil && err != errLater {
		e.s.release(v.refs)
	}
	return err
}

func (e *queueEntity) enter(c *call, try bool, v value) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.gone:
		return ErrGone
	case e.closed:
		return ErrClosed
	case len(e.items) < e.max:
		e.add(v.kept())
		e.serve()
		return nil
	case try:
		return ErrFull
	}
	w := &putWaiter{c, v.kept()}
	err := c.wait(func() {
		e.mu.Lock()
		waits := e.puts.remove(w)
		if waits {
			c.answer(c.why(), nil)
		}
		e.mu.Unlock()
		if waits {
			e.s.release(w.v.refs)
		}
	})
	if err != nil {
		return err
	}
	e.puts.add(w)
	return errLater
}

// add puts a value at the end. e.mu is held, here and below.
func (e *queueEntity) add(v value) {
	e.last++
	e.unfinished++
	e.items = append(e.items, &item{seq: e.last, v: v})
}

// get takes items at once, or lets the call wait.
func (e *queueEntity) get(w *getWaiter, try bool, b []byte) ([]byte, error) {
	switch {
	case e.gone:
		return nil, ErrGone
	case len(e.items) > 0: // then nobody waits for any
		b = e.take(w, b)
		e.serve()
		return b, nil
	case e.over():
		return nil, ErrClosed
	case try:
		return nil, ErrEmpty
	}
	err := w.c.wait(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.gets.remove(w) {
			w.c.answer(w.c.why(), nil)
		}
	})
	if err != nil {
		return nil, err
	}
	e.gets.add(w)
	return nil, errLater
}

// over reports whether nothing can be got any more. What a Queue has given out and nobody has confirmed may come back.
func (e *queueEntity) over() bool { return e.closed && len(e.items) == 0 && e.given == 0 }

// take hands the first items to a call, and appends what it is answered with.
func (e *queueEntity) take(w *getWaiter, b []byte) []byte {
	n, size := 0, 0
	for n < len(e.items) && n < w.max {
		if size += len(e.items[n].v.data) + 16*len(e.items[n].v.refs) + 16; n > 0 && size > e.s.o.MaxMessage/2 {
			break
		}
		n++
	}
	taken := append([]*item(nil), e.items[:n]...)
	clear(e.items[:n])
	if e.items = e.items[n:]; len(e.items) == 0 {
		e.items = nil
	}
	b = appendUint(b, n)
	for _, x := range taken {
		e.s.onTheWay(x.v.refs)
		b = x.v.append(b)
	}
	if e.work {
		for _, x := range taken {
			x.call = w.c.id
		}
		e.hands[w.c.s] = append(e.hands[w.c.s], taken...)
		return b
	}
	e.given += n
	w.c.given(func() { e.settle(taken, true) }, func() { e.settle(taken, false) })
	return b
}

// settle ends the uncertainty about what was given.
func (e *queueEntity) settle(taken []*item, undo bool) {
	e.mu.Lock()
	e.given -= len(taken)
	if undo = undo && !e.gone; undo {
		e.back(taken)
	} else {
		e.serve() // nothing may be all that there will be
	}
	e.mu.Unlock()
	if !undo {
		for _, x := range taken {
			e.s.release(x.v.refs)
		}
	}
}

// serve gives what there is to those who have waited longest, lets puts in that wait for room, and ends the waiting of gets when there can be no more.
func (e *queueEntity) serve() {
	for {
		for len(e.items) > 0 && len(e.gets) > 0 {
			w := e.gets.take()
			if w.c.gone.Load() { // it is about to be cancelled
				continue
			}
			b := e.take(w, nil)
			w.c.answer(nil, func(head []byte) []byte { return append(head, b...) })
		}
		if len(e.puts) == 0 || len(e.items) >= e.max {
			break
		}
		w := e.puts.take()
		w.c.answer(nil, nil) // if it does not arrive, the client does not know whether the value was put
		e.add(w.v)
	}
	if e.over() {
		for _, w := range e.gets.all() {
			w.c.answer(ErrClosed, nil)
		}
	}
}

// back puts items back to where they were.
func (e *queueEntity) back(items []*item) {
	if len(items) == 0 {
		return
	}
	slices.SortFunc(items, func(a, b *item) int { return cmp.Compare(a.seq, b.seq) })
	merged := make([]*item, 0, len(items)+len(e.items))
	rest := e.items
	for _, x := range items {
		for len(rest) > 0 && rest[0].seq < x.seq {
			merged, rest = append(merged, rest[0]), rest[1:]
		}
		merged = append(merged, x)
	}
	e.items = append(merged, rest...)
	e.serve()
}

// done says that the first of what a session has in hand is dealt with.
func (e *queueEntity) done(s *session) error {
	e.mu.Lock()
	had := e.hands[s]
	if len(had) == 0 {
		e.mu.Unlock()
		return ErrNotHeld
	}
	x := had[0]
	had[0] = nil
	e.hold(s, had[1:])
	e.unfinished--
	left := e.joins[:0]
	for _, w := range e.joins {
		if w.seq >= x.seq {
			w.left--
		}
		if w.left == 0 {
			w.c.answer(nil, nil)
		} else {
			left = append(left, w)
		}
	}
	clear(e.joins[len(left):])
	e.joins = left
	e.mu.Unlock()
	e.s.release(x.v.refs)
	return nil
}

func (e *queueEntity) hold(s *session, items []*item) {
	if len(items) == 0 {
		delete(e.hands, s)
	} else {
		e.hands[s] = items
	}
}

// join waits until all that was put is done.
func (e *queueEntity) join(c *call) error {
	switch {
	case e.gone:
		return ErrGone
	case e.unfinished == 0:
		return nil
	}
	w := &joinWaiter{c, e.last, e.unfinished}
	err := c.wait(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if i := slices.Index(e.joins, w); i >= 0 {
			e.joins = slices.Delete(e.joins, i, i+1)
			c.answer(c.why(), nil)
		}
	})
	if err != nil {
		return err
	}
	e.joins = append(e.joins, w)
	return errLater
}

func (e *queueEntity) close() {
	e.mu.Lock()
	e.closed = true
	puts := e.puts.all()
	for _, w := range puts {
		w.c.answer(ErrClosed, nil)
	}
	e.serve()
	e.mu.Unlock()
	for _, w := range puts {
		e.s.release(w.v.refs)
	}
}

// left hands out again what a session has not done.
func (e *queueEntity) left(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	items := e.hands[s]
	delete(e.hands, s)
	e.back(items)
}

func (e *queueEntity) lost(s *session, calls map[uint64]bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var kept, back []*item
	for _, x := range e.hands[s] {
		if calls[x.call] {
			back = append(back, x)
		} else {
			kept = append(kept, x)
		}
	}
	e.hold(s, kept)
	e.back(back)
}

func (e *queueEntity) drop() (refs []uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gone = true
	for _, w := range e.puts.all() {
		w.c.answer(ErrGone, nil)
		refs = append(refs, w.v.refs...)
	}
	for _, w := range e.gets.all() {
		w.c.answer(ErrGone, nil)
	}
	for _, w := range e.joins {
		w.c.answer(ErrGone, nil)
	}
	for _, x := range e.items {
		refs = append(refs, x.v.refs...)
	}
	for _, items := range e.hands {
		for _, x := range items {
			refs = append(refs, x.v.refs...)
		}
	}
	e.items, e.joins, e.hands = nil, nil, map[*session][]*item{}
	return refs
}
