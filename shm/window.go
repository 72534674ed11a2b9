package shm

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/owner"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// A Window looks into a segment without taking part in it: its mapping is for reading alone, it is no participant, and nobody in the segment can tell
// that it is there. It is for tools; what it shows of a segment in use may be over by the time it is read.
//
// With [Window.Alive] it is a futex.Participants, for views that only look.
type Window struct{ s *Segment }

// looker is a token that no participant can have.
const looker = blockTokenMask

// LookAt opens a window on the segment behind fd, which need only be open for reading and stays the caller's. ErrForeign says that it is none.
func LookAt(fd int) (*Window, error) {
	own, err := sys.ReopenToRead(fd)
	if err != nil {
		return nil, fmt.Errorf("shm: look: %w", err)
	}
	mem, lay, err := mapChecked(own, false)
	if err != nil {
		sys.CloseFD(own)
		return nil, err
	}
	s := &Segment{mem: mem, fd: own, lay: lay, hdr: headerOf(mem), looks: true, token: new(atomic.Uint32)}
	s.id = s.hdr.id
	s.token.Store(looker)
	if s.table, err = owner.NewTable(mem[tableOff:], lay.participants, own, tableOff); err != nil {
		sys.Unmap(mem)
		sys.CloseFD(own)
		return nil, err
	}
	name := s.hdr.name
	s.name, _, _ = strings.Cut(string(name[:]), "\x00")
	return &Window{s}, nil
}

// Close closes the window. What Objects and Bytes have returned must not be used any more.
func (w *Window) Close() error {
	if w.s.token.Swap(0) == 0 {
		return nil
	}
	return errors.Join(sys.Unmap(w.s.mem), sys.CloseFD(w.s.fd))
}

// ID returns the segment's number.
func (w *Window) ID() uint64 { return w.s.id }

// Name returns the name that the segment was made under, or "". It may lead elsewhere by now.
func (w *Window) Name() string { return w.s.name }

// Created returns when the segment was made.
func (w *Window) Created() time.Time { return time.Unix(0, w.s.hdr.created) }

// Kept reports whether the memory is a file that stays.
func (w *Window) Kept() bool { return w.s.hdr.flags&flagKeep != 0 }

// Sizes returns the bytes of the whole mapping, of the user's part, and of the arena, and how many of the arena's were ever allocated.
func (w *Window) Sizes() (total, user, arena, allocated int) {
	end := atomic.LoadUint64(&w.s.hdr.bump) & firstMask * minBlock
	return w.s.lay.total, w.s.lay.user, w.s.lay.arena, int(min(end, uint64(w.s.lay.arena)))
}

// Places returns how many participants the segment can have.
func (w *Window) Places() int { return w.s.lay.participants }

// Bytes returns the user's bytes, for reading alone: a write faults.
func (w *Window) Bytes() []byte {
	return w.s.mem[w.s.lay.userOff : w.s.lay.userOff+w.s.lay.user : w.s.lay.userOff+w.s.lay.user]
}

// Memory returns the whole mapping, for reading alone.
func (w *Window) Memory() []byte { return w.s.mem }

// Participants returns who has the segment open, the dead whom nobody has found yet included.
func (w *Window) Participants() []Participant { return w.s.table.All() }

// Participant describes the holder of a token.
func (w *Window) Participant(token uint32) (p Participant, ok bool) { return w.s.table.Info(token) }

// Alive reports whether the participant with this token may still run; false is proven.
func (w *Window) Alive(token uint32) bool { return w.s.table.Alive(token) }

// Self returns a token that is nobody's.
func (w *Window) Self() uint32 { return looker }

// Check is [Segment.Check], done by looking alone.
func (w *Window) Check() error { return w.s.Check() }

// Guard is [Segment.Guard]: whoever looks at a segment that is a file has it truncated under its eyes.
func (w *Window) Guard(fn func() error) error { return w.s.Guard(fn) }

// What an object's block may be.
const (
	BlockFree     = "free"     // on the list of its size
	BlockHand     = "hand"     // on its way between its owner and the list
	BlockReserved = "reserved" // an object that its owner has not published
	BlockUsed     = "used"     // an object
)

// An Object is a block of an arena and what is in it.
type Object struct {
	Ref
	State string // BlockFree and the others
	Block uint64 // bytes of the whole block
	Owner uint32 // token, of a block in hand and of a reserved one
	Mem   []byte // of an object: its bytes, for reading alone
}

// Objects ranges over all blocks of the arena that were ever allocated. An error ends it.
func (w *Window) Objects() iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		done := errors.New("done")
		err := w.s.walk(func(off uint64, class int, b *block, st uint64) error {
			v, state, by := splitState(st)
			o := Object{
				Ref:   Ref{Segment: w.s.id, Offset: off, Generation: v},
				Block: minBlock << class, Owner: by,
				State: []string{BlockFree, BlockHand, BlockReserved, BlockUsed}[state],
			}
			if state == blockOwned || state == blockUsed {
				o.Kind, o.Size = Kind(b.kind), b.size
				if classOf(min(o.Size, maxPart)) != class {
					return w.s.corrupt("the block at %#x, of class %d, has an object of %d bytes", off, class, o.Size)
				}
				at := uint64(w.s.lay.arenaOff) + off + payloadOff(class)
				o.Mem = w.s.mem[at : at+o.Size : at+o.Size]
			}
			if !yield(o, nil) {
				return done
			}
			return nil
		})
		if err != nil && err != done {
			yield(Object{}, err)
		}
	}
}

// A NameInfo is a name that a segment was made under.
type NameInfo struct {
	Name    string
	ID      uint64 // of the segment
	Created time.Time
	Kept    bool  // the memory is the file under the name
	Dead    bool  // nobody has the segment open any more
	Err     error // why it cannot be said what it is: somebody else's file, or a truncated one
}

// Names returns all names of segments on this machine that can be read.
func Names() ([]NameInfo, error) {
	entries, err := os.ReadDir(namedDir)
	if err != nil {
		return nil, fmt.Errorf("shm: names: %w", err)
	}
	var all []NameInfo
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Name(), namedPrefix); ok {
			if info, err := lookAtName(name); !errors.Is(err, os.ErrNotExist) {
				info.Err = err
				all = append(all, info)
			}
		}
	}
	return all, nil
}

func lookAtName(name string) (NameInfo, error) {
	info := NameInfo{Name: name}
	path, err := namedPath(name)
	if err != nil {
		return info, err
	}
	fd, err := sys.OpenFile(path, os.O_RDONLY|sys.NoFollow, 0)
	if err != nil {
		return info, err
	}
	defer sys.CloseFD(fd)
	h, err := readLabel(fd)
	if err == nil {
		info.ID, info.Created = h.id, time.Unix(0, h.created)
		info.Dead, err = deadLabel(fd)
		return info, err
	}
	w, e := LookAt(fd)
	if e != nil {
		return info, err
	}
	defer w.Close()
	info.Kept = true
	err = w.Guard(func() error {
		info.ID, info.Created = w.ID(), w.Created()
		info.Dead = true
		for _, p := range w.Participants() {
			info.Dead = info.Dead && !w.Alive(p.Token)
		}
		return nil
	})
	return info, err
}

// UnlinkDead takes the name of a segment away that nobody has open any more. An error that matches os.ErrExist says that somebody has, or that the
// segment is kept.
func UnlinkDead(name string) error {
	path, err := namedPath(name)
	if err != nil {
		return err
	}
	if err := buryName(path); err != nil {
		return fmt.Errorf("shm: remove %q: %w", name, err)
	}
	return nil
}
