package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

var kindNames = map[shm.Kind]string{
	shm.KindValue: "value", shm.KindArray: "array", shm.KindMutex: "mutex", shm.KindQueue: "queue", shm.KindRWMutex: "rwmutex",
	shm.KindRLock: "rlock", shm.KindSemaphore: "semaphore", shm.KindBoundedSemaphore: "bounded semaphore", shm.KindCond: "cond",
	shm.KindEvent: "event", shm.KindBarrier: "barrier", shm.KindMatrix: "matrix", shm.KindStruct: "struct", shm.KindBlob: "blob",
	shm.KindPipe: "pipe", shm.KindBlock: "block",
}

// KindName returns what an object of the kind is called.
func KindName(k shm.Kind) string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("kind %d", k)
}

// A Lock is what can be said of one lock. It is of the segment's arena: locks that a program has put into its own bytes are not known.
type Lock struct {
	Segment string `json:"segment"` // its id
	Name    string `json:"name,omitempty"`
	Offset  uint64 `json:"offset"`
	Kind    string `json:"kind"`
	Owner   *User  `json:"owner,omitempty"`   // who holds it for itself
	Holders []User `json:"holders,omitempty"` // who holds a share
	Waiters bool   `json:"waiters"`           // somebody waits, or has
	Waiting int    `json:"waiting,omitempty"` // how many, where they are counted
	Damaged bool   `json:"damaged,omitempty"`
	Detail  string `json:"detail,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// Held reports whether somebody holds it, or has a share of it.
func (l *Lock) Held() bool { return l.Owner != nil || len(l.Holders) > 0 }

// lookAtLock returns the state of an object that is a lock; ok is false for others.
func lookAtLock(o *shm.Object) (s futex.State, err error, ok bool) {
	switch o.Kind {
	case shm.KindMutex, shm.KindRLock, shm.KindBlob:
		s, err = futex.LookMutex(o.Mem)
	case shm.KindRWMutex:
		s, err = futex.LookRWMutex(o.Mem)
	case shm.KindSemaphore, shm.KindBoundedSemaphore:
		s, err = futex.LookSemaphore(o.Mem, o.Kind == shm.KindBoundedSemaphore)
	case shm.KindCond:
		s, err = futex.LookCond(o.Mem)
	case shm.KindEvent:
		s, err = futex.LookEvent(o.Mem)
	case shm.KindBarrier:
		s, err = futex.LookBarrier(o.Mem)
	default:
		return s, nil, false
	}
	return s, err, true
}

func isObject(o *shm.Object) bool {
	return o.State == shm.BlockUsed || o.State == shm.BlockReserved
}

// Locks returns the locks in the segment's arena.
func (s *Segment) Locks() (all []Lock, err error) {
	err = s.open(func(w *shm.Window) error {
		for o, err := range w.Objects() {
			if err != nil {
				return err
			}
			if !isObject(&o) {
				continue
			}
			st, err, ok := lookAtLock(&o)
			if !ok {
				continue
			}
			l := Lock{Segment: s.ID, Name: s.Name, Offset: o.Offset, Kind: KindName(o.Kind), Waiters: st.Waiters, Waiting: st.Waiting, Damaged: st.Damaged, Detail: st.Detail}
			if err != nil {
				l.Problem = err.Error()
			}
			if st.Owner != 0 {
				u := userOf(w, st.Owner)
				l.Owner = &u
			}
			for token := range st.Holders {
				l.Holders = append(l.Holders, userOf(w, token))
			}
			slices.SortFunc(l.Holders, func(a, b User) int { return cmp.Compare(a.PID, b.PID) })
			all = append(all, l)
		}
		return nil
	})
	return all, err
}

// A Queue is what can be said of one queue.
type Queue struct {
	Segment    string `json:"segment"`
	Name       string `json:"name,omitempty"`
	Offset     uint64 `json:"offset"`
	Capacity   int    `json:"capacity"`
	MaxMessage int    `json:"maxMessage"`
	Depth      int    `json:"depth"`    // messages that wait
	Unacked    int    `json:"unacked"`  // taken, and not acknowledged
	SetAside   int    `json:"setAside"` // dead letters
	Writing    int    `json:"writing"`  // being put
	Closed     bool   `json:"closed"`
	Producers  []User `json:"producers"` // members that have put
	Consumers  []User `json:"consumers"` // members that have taken
	Puts       uint64 `json:"puts"`      // modulo Wrap
	Gets       uint64 `json:"gets"`
	Wrap       uint64 `json:"wrap"`
	Problem    string `json:"problem,omitempty"`
}

// Queues returns the queues in the segment's arena.
func (s *Segment) Queues() (all []Queue, err error) {
	err = s.open(func(w *shm.Window) error {
		for o, err := range w.Objects() {
			if err != nil {
				return err
			}
			if !isObject(&o) || o.Kind != shm.KindQueue {
				continue
			}
			st, err := ringbuf.LookMPMC(o.Mem, w)
			q := Queue{Segment: s.ID, Name: s.Name, Offset: o.Offset, Capacity: st.Capacity, MaxMessage: st.MaxMessage, Depth: st.Waiting, Unacked: st.Unacked,
				SetAside: st.SetAside, Writing: st.Writing, Closed: st.Closed, Puts: st.Puts, Gets: st.Gets, Wrap: st.Wrap, Producers: []User{}, Consumers: []User{}}
			if err = errors.Join(err, st.Damage); err != nil {
				q.Problem = err.Error()
			}
			for _, m := range st.Members {
				if m.Puts && !m.NoPuts {
					q.Producers = append(q.Producers, userOf(w, m.Token))
				}
				if m.Gets && !m.NoGets {
					q.Consumers = append(q.Consumers, userOf(w, m.Token))
				}
			}
			all = append(all, q)
		}
		return nil
	})
	return all, err
}

// A Finding is what a check has to say of a segment.
type Finding struct {
	Segment  string   `json:"segment"`
	Name     string   `json:"name,omitempty"`
	Objects  int      `json:"objects"`  // looked at
	Problems []string `json:"problems"` // what cannot be
	Left     []string `json:"left"`     // what the dead have left, and the living will mend: no fault
}

// Check asks for every invariant of the segment and of the objects in it.
func (s *Segment) Check() Finding {
	f := Finding{Segment: s.ID, Name: s.Name, Problems: []string{}, Left: []string{}}
	bad := func(format string, args ...any) { f.Problems = append(f.Problems, fmt.Sprintf(format, args...)) }
	err := s.open(func(w *shm.Window) error {
		for _, p := range w.Participants() {
			if !w.Alive(p.Token) {
				f.Left = append(f.Left, fmt.Sprintf("participant %#x, process %d (%s), is dead", p.Token, p.PID, p.Name))
			}
		}
		if err := w.Check(); err != nil {
			bad("%v", err)
		}
		for o, err := range w.Objects() {
			if err != nil {
				return err
			}
			f.Objects++
			if o.Owner != 0 && !w.Alive(o.Owner) {
				f.Left = append(f.Left, fmt.Sprintf("the block at %#x, %d bytes, %s, is participant %#x's, who is dead", o.Offset, o.Block, o.State, o.Owner))
			}
			if o.State == shm.BlockUsed { // one that is reserved may be half made
				s.checkObject(w, &o, &f)
			}
		}
		return nil
	})
	if err != nil {
		bad("%v", err)
	}
	return f
}

func (s *Segment) checkObject(w *shm.Window, o *shm.Object, f *Finding) {
	what := fmt.Sprintf("the %s at %#x", KindName(o.Kind), o.Offset)
	bad := func(err error) {
		if err != nil && !s.freed(w, o) {
			f.Problems = append(f.Problems, what+": "+err.Error())
		}
	}
	if o.Kind == shm.KindQueue {
		st, err := ringbuf.LookMPMC(o.Mem, w)
		bad(errors.Join(err, st.Damage))
		for _, m := range st.Members {
			if m.Token != 0 && !w.Alive(m.Token) {
				f.Left = append(f.Left, fmt.Sprintf("%s has a dead member, %#x", what, m.Token))
			}
		}
		return
	}
	st, err, ok := lookAtLock(o)
	if !ok {
		return
	}
	bad(err)
	tokens := []uint32{}
	if st.Owner != 0 {
		tokens = append(tokens, st.Owner)
	}
	for t := range st.Holders {
		tokens = append(tokens, t)
	}
	for _, t := range tokens {
		if n := int(t & 0xFFF); n < 1 || n > w.Places() {
			bad(fmt.Errorf("%w: it is held by %#x, who can be no participant", shm.ErrCorrupt, t))
		} else if !w.Alive(t) {
			f.Left = append(f.Left, fmt.Sprintf("%s is held by %#x, who is dead", what, t))
		}
	}
}

// freed reports whether an object is not any more what it was when it was listed: then what was seen in it says nothing.
func (s *Segment) freed(w *shm.Window, o *shm.Object) bool {
	for now, err := range w.Objects() {
		if err != nil {
			return false
		}
		if now.Offset == o.Offset {
			return now.Generation != o.Generation || now.State == shm.BlockReserved
		}
	}
	return false
}

// Objects returns the blocks of the segment's arena.
func (s *Segment) Objects() (all []Object, err error) {
	err = s.open(func(w *shm.Window) error {
		for o, err := range w.Objects() {
			if err != nil {
				return err
			}
			x := Object{Offset: o.Offset, Block: o.Block, State: o.State}
			if isObject(&o) {
				x.Kind, x.Size = KindName(o.Kind), o.Size
				x.Bytes = slices.Clone(o.Mem[:min(len(o.Mem), shown)])
			}
			if o.Owner != 0 {
				x.Owner = userOf(w, o.Owner)
			}
			all = append(all, x)
		}
		return nil
	})
	return all, err
}

const shown = 64 // bytes of an object that a list of objects has

// An Object is a block of an arena.
type Object struct {
	Offset uint64 `json:"offset"`
	Block  uint64 `json:"block"`
	State  string `json:"state"`
	Kind   string `json:"kind,omitempty"`
	Size   uint64 `json:"size"`
	Owner  User   `json:"owner,omitzero"`
	Bytes  []byte `json:"bytes,omitempty"` // the first ones
}

// Read returns n bytes of the segment from off on, of the whole mapping or of the object whose block is at the offset.
func (s *Segment) Read(object bool, off uint64, n int) (b []byte, err error) {
	err = s.open(func(w *shm.Window) error {
		mem := w.Memory()
		if object {
			mem = nil
			for o, err := range w.Objects() {
				if err != nil {
					return err
				}
				if o.Offset == off && isObject(&o) {
					mem = o.Mem
				}
			}
			if mem == nil {
				return fmt.Errorf("there is no object at %#x", off)
			}
			off = 0
		}
		if off > uint64(len(mem)) {
			return fmt.Errorf("offset %#x is beyond its %d bytes", off, len(mem))
		}
		mem = mem[off:]
		b = slices.Clone(mem[:min(len(mem), n)])
		return nil
	})
	return b, err
}

// Who returns the users in words.
func Who(users []User) string {
	var all []string
	for _, u := range users {
		text := fmt.Sprintf("%d(%s)", u.PID, u.Name)
		if !u.Alive {
			text += " dead"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

// Collectable returns how many blocks of the arena dead processes have left.
func (s *Segment) Collectable() (n int) {
	_ = s.open(func(w *shm.Window) error {
		for o, err := range w.Objects() {
			if err != nil {
				return err
			}
			if o.Owner != 0 && !w.Alive(o.Owner) {
				n++
			}
		}
		return nil
	})
	return n
}

// Collect joins the segment, for a moment, and frees what dead processes have left in its arena. This is no longer looking.
func (s *Segment) Collect() error {
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	seg, err := shm.Attach(int(f.Fd()))
	if err != nil {
		return err
	}
	_, err = seg.Collect()
	return errors.Join(err, seg.Close())
}
