package manager

import (
	"sync"
	"sync/atomic"
	"time"
)

// An entity is what an object of the server's does. Its methods may be called by any number of goroutines.
type entity interface {
	// do does c.op, whose arguments are in r, and appends the answer to b; or returns an error; or errLater when it has let the call wait.
	do(c *call, r *reader, b []byte) ([]byte, error)
	// drop is told that nobody refers to the object any more, and returns the objects that it refers to itself.
	drop() []uint64
}

// A leaver is an entity that has something of sessions.
type leaver interface {
	// left is told that a session has ended that has used the entity: what it holds is free again.
	left(s *session)
	// lost is told that the answers to calls have not reached the session, which lives on: it does not have what they handed over.
	lost(s *session, calls map[uint64]bool)
}

// An object is an entity with a number, and a count of those who refer to it: proxies of sessions, values in other objects, tickets, a name.
type object struct {
	id   uint64
	kind kind
	typ  string // what its values are; a proxy of another type is refused
	ent  entity

	// Guarded by the table's lock.
	refs int
	keep time.Time // it is kept until then without anybody who refers to it: a proxy of it is on its way
	gone atomic.Bool
}

// table has the objects of a server.
type table struct {
	mu    sync.RWMutex
	last  uint64 // number given out last; numbers are not used again, not even by another server
	all   map[uint64]*object
	names map[string]*object
	// tickets are for proxies on their way: ticket → its session and object.
	tickets    map[uint64]ticket
	lastTicket uint64
	keepFor    time.Duration
}

type ticket struct {
	s      *session
	object uint64
}

func (t *table) find(id uint64) *object {
	t.mu.RLock()
	o := t.all[id]
	t.mu.RUnlock()
	return o
}

// add makes an object to which one refers, under a name if it has one. If there is one of that name already it is returned, and the new one is not made.
func (t *table) add(k kind, typ, name string, make func() (entity, error)) (o *object, made bool, err error) {
	t.mu.Lock()
	if old := t.names[name]; name != "" && old != nil {
		defer t.mu.Unlock()
		if old.kind != k || old.typ != typ {
			return nil, false, refuse(ErrName, "%q is a %s, not a %s", name, describe(old.kind, old.typ), describe(k, typ))
		}
		old.refs++
		return old, false, nil
	}
	t.mu.Unlock()
	ent, err := make()
	if err != nil {
		return nil, false, err
	}
	t.mu.Lock()
	if old := t.names[name]; name != "" && old != nil { // somebody was faster
		same := old.kind == k && old.typ == typ
		if same {
			old.refs++
		}
		t.mu.Unlock()
		t.release(ent.drop())
		if !same {
			return nil, false, refuse(ErrName, "%q is a %s, not a %s", name, describe(old.kind, old.typ), describe(k, typ))
		}
		return old, false, nil
	}
	defer t.mu.Unlock()
	t.last++
	o = &object{id: t.last, kind: k, typ: typ, ent: ent, refs: 1}
	t.all[o.id] = o
	if name != "" {
		o.refs++
		t.names[name] = o
	}
	return o, true, nil
}

// lookup returns the object of a name, to which one more refers.
func (t *table) lookup(k kind, typ, name string) (*object, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.names[name]
	if o == nil {
		return nil, refuse(ErrName, "there is no %q", name)
	}
	if o.kind != k || o.typ != typ {
		return nil, refuse(ErrName, "%q is a %s, not a %s", name, describe(o.kind, o.typ), describe(k, typ))
	}
	o.refs++
	return o, nil
}

// unname takes a name away.
func (t *table) unname(name string) error {
	t.mu.Lock()
	o := t.names[name]
	delete(t.names, name)
	t.mu.Unlock()
	if o == nil {
		return refuse(ErrName, "there is no %q", name)
	}
	t.release([]uint64{o.id})
	return nil
}

// retain refers to objects. If one is gone, none is referred to.
func (t *table) retain(ids []uint64) error {
	if len(ids) == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		if t.all[id] == nil {
			return refuse(ErrGone, "number %d, which a value refers to", id)
		}
	}
	for _, id := range ids {
		t.all[id].refs++
	}
	return nil
}

// release lets objects go, and with the last of them what they refer to.
func (t *table) release(ids []uint64) {
	for len(ids) > 0 {
		var dead []*object
		t.mu.Lock()
		for _, id := range ids {
			dead = t.less(id, 1, dead)
		}
		t.mu.Unlock()
		ids = t.buried(dead)
	}
}

// releaseAll lets objects go to which so many refer no more.
func (t *table) releaseAll(refs map[uint64]int) {
	var dead []*object
	t.mu.Lock()
	for id, n := range refs {
		dead = t.less(id, n, dead)
	}
	t.mu.Unlock()
	t.release(t.buried(dead))
}

// less has n fewer refer to an object, and appends it if it has ended. t.mu is held.
func (t *table) less(id uint64, n int, dead []*object) []*object {
	if o := t.all[id]; o != nil {
		o.refs -= n
		if t.end(o) {
			dead = append(dead, o)
		}
	}
	return dead
}

// buried returns what objects that have ended referred to.
func (t *table) buried(dead []*object) (ids []uint64) {
	for _, o := range dead {
		ids = append(ids, o.ent.drop()...)
	}
	return ids
}

// end takes an object out of the table if nobody refers to it, and reports whether it did. One that is kept is looked at again later. t.mu is held.
func (t *table) end(o *object) bool {
	if o.refs > 0 || o.gone.Load() {
		return false
	}
	if wait := time.Until(o.keep); wait > 0 {
		time.AfterFunc(wait+time.Millisecond, func() {
			t.mu.Lock()
			dead := t.end(o)
			t.mu.Unlock()
			if dead {
				t.release(o.ent.drop())
			}
		})
		return false
	}
	o.gone.Store(true)
	delete(t.all, o.id)
	return true
}

// onTheWay keeps objects for a while, for proxies of them are on their way to a client.
func (t *table) onTheWay(ids []uint64) {
	if len(ids) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	until := time.Now().Add(t.keepFor)
	for _, id := range ids {
		if o := t.all[id]; o != nil {
			o.keepUntil(until)
		}
	}
}

// storedValue redeems the tickets of a value that was made here.
func (t *table) storedValue(v *value) {
	for i, n := range v.tickets {
		t.redeem(n, v.refs[i], false)
	}
	v.tickets = nil
}

func (o *object) keepUntil(t time.Time) {
	if t.After(o.keep) {
		o.keep = t
	}
}

// linger keeps an object for a while.
func (t *table) linger(o *object, wait time.Duration) {
	t.mu.Lock()
	o.keepUntil(time.Now().Add(wait))
	t.mu.Unlock()
}

// pin gives out a ticket for a proxy that a client sends somewhere: the object lives as long as the sender does, and a while longer.
func (t *table) pin(s *session, id uint64) (uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.all[id]
	if o == nil {
		return 0, ErrGone
	}
	t.lastTicket++
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return 0, ErrClosed
	}
	s.pins[t.lastTicket] = id
	o.refs++
	t.tickets[t.lastTicket] = ticket{s, id}
	return t.lastTicket, nil
}

// redeem ends the ticket of an object. If the proxy has been opened the object is kept for a while, for the same proxy may be opened again: by who gets a message that a
// dead one had in hand.
func (t *table) redeem(n, id uint64, opened bool) {
	t.mu.Lock()
	k, ok := t.tickets[n]
	ok = ok && k.object == id // else it is a liar's
	if ok {
		delete(t.tickets, n)
		k.s.mu.Lock()
		delete(k.s.pins, n)
		k.s.mu.Unlock()
		if o := t.all[id]; o != nil && opened {
			o.keepUntil(time.Now().Add(t.keepFor))
		}
	}
	t.mu.Unlock()
	if ok {
		t.release([]uint64{id})
	}
}

// stored redeems the tickets of values that the server has: what they refer to is referred to by who has them.
func (t *table) stored(tickets []uint64) {
	for i := 0; i < len(tickets); i += 2 {
		t.redeem(tickets[i], tickets[i+1], false)
	}
}

// forget lets go what a session that has ended referred to. What it had sent somewhere is kept for a while.
func (t *table) forget(refs map[uint64]int, pins map[uint64]uint64) {
	if refs == nil {
		refs = map[uint64]int{}
	}
	t.mu.Lock()
	until := time.Now().Add(t.keepFor)
	for n, id := range pins {
		if _, ok := t.tickets[n]; !ok {
			continue
		}
		delete(t.tickets, n)
		o := t.all[id]
		if o == nil {
			continue
		}
		o.keepUntil(until)
		refs[id]++
	}
	t.mu.Unlock()
	t.releaseAll(refs)
}
