// Package inspect finds the shared memory of this module on a machine, and says what is in it and who uses it. It only looks: it maps for reading
// alone, joins nothing, and nobody in a segment can tell that it was there.
//
// Segments have no registry. Named ones are found by their names, and all that somebody has open by the descriptors of processes, /proc/PID/fd. What
// belongs to others, who may not be looked at, is counted and left out.
package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/fb2d3dbd/multiproc/shm"
)

// Kinds of segments.
const (
	Anonymous = "anonymous" // reached by inheritance alone
	Named     = "named"     // by a name, and gone with the last user
	Kept      = "kept"      // a file that stays
	Python    = "python"    // a block in the manner of CPython, without a head
	DeadName  = "dead name" // nobody has its segment open any more
	Unknown   = "unknown"   // under a name of ours, and no segment
)

// A Process is one that has something to do with a segment.
type Process struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
}

// A User is a participant of a segment.
type User struct {
	Process
	Token  uint32    `json:"token"`
	Joined time.Time `json:"joined"`
	Alive  bool      `json:"alive"`
}

// A Segment is what can be said of one segment, block or name.
type Segment struct {
	Kind      string    `json:"kind"`
	ID        string    `json:"id,omitempty"`
	Name      string    `json:"name,omitempty"`
	Size      int64     `json:"size"`
	Resident  int64     `json:"resident"` // bytes of memory that it takes
	User      int       `json:"userBytes,omitempty"`
	Arena     int       `json:"arenaBytes,omitempty"`
	Allocated int       `json:"arenaUsed,omitempty"`
	Places    int       `json:"places,omitempty"`
	Created   time.Time `json:"created"`
	Users     []User    `json:"users,omitempty"`
	Mapped    []Process `json:"mapped,omitempty"` // who maps it
	Open      []Process `json:"open,omitempty"`   // who has a descriptor of it
	Problem   string    `json:"problem,omitempty"`

	path string // to open it by
	key  fileKey
}

// A Scan is what was found on the machine.
type Scan struct {
	Segments []*Segment
	Hidden   int // processes that may not be looked at
}

// Look looks for all segments.
func Look() (*Scan, error) {
	procs, hidden, err := processes()
	if err != nil {
		return nil, err
	}
	names, err := shm.Names()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	blocks, err := pythonBlocks()
	if err != nil {
		return nil, err
	}
	found := map[fileKey]*Segment{}
	ids := map[string]*Segment{}
	add := func(s *Segment) {
		if err := s.open(func(w *shm.Window) error { s.describe(w); return nil }); err != nil {
			if errors.Is(err, shm.ErrForeign) && s.Kind == Anonymous || errors.Is(err, os.ErrNotExist) {
				return // somebody's other memory, or gone meanwhile
			}
			s.Problem = err.Error()
		}
		found[s.key] = s
		ids[s.ID] = s
	}
	for _, p := range procs {
		for _, d := range p.files {
			if found[d.key] == nil && !d.named {
				add(&Segment{Kind: Anonymous, path: d.path, key: d.key})
			}
		}
	}
	var dead []*Segment
	for _, n := range names {
		path := "/dev/shm/multiproc-" + n.Name
		s := &Segment{Name: n.Name, ID: idText(n.ID), Created: n.Created, path: path}
		s.key, s.Size, s.Resident = keyOf(path)
		switch {
		case n.Err != nil:
			s.Kind, s.Problem = Unknown, n.Err.Error()
		case n.Kept:
			s.Kind = Kept
			add(s)
			continue
		case n.Dead:
			s.Kind = DeadName
		default:
			if live := ids[s.ID]; live != nil {
				live.Kind, live.Name = Named, n.Name
				continue
			}
			s.Kind, s.Problem = Named, "it is open in processes that may not be looked at"
		}
		dead = append(dead, s)
	}
	all := append(slices.Collect(maps.Values(found)), dead...)
	all = append(all, blocks...)
	for _, s := range all {
		for _, p := range procs {
			if slices.ContainsFunc(p.files, func(d descriptor) bool { return d.key == s.key }) {
				s.Open = append(s.Open, p.Process)
			}
			if p.maps[s.key] {
				s.Mapped = append(s.Mapped, p.Process)
			}
		}
	}
	slices.SortFunc(all, func(a, b *Segment) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return &Scan{all, hidden}, nil
}

func idText(id uint64) string {
	if id == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", id)
}

// open calls fn with a window on the segment.
func (s *Segment) open(fn func(w *shm.Window) error) error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := shm.LookAt(int(f.Fd()))
	if err != nil {
		return err
	}
	defer w.Close()
	return w.Guard(func() error { return fn(w) })
}

// HasMemory reports whether there is a segment to look into.
func (s *Segment) HasMemory() bool {
	return (s.Kind == Anonymous || s.Kind == Named || s.Kind == Kept) && s.Problem == ""
}

func (s *Segment) describe(w *shm.Window) {
	s.ID, s.Created, s.Places = idText(w.ID()), w.Created(), w.Places()
	if s.Name == "" {
		s.Name = w.Name()
	}
	_, s.Size, s.Resident = keyOf(s.path)
	_, s.User, s.Arena, s.Allocated = w.Sizes()
	for _, p := range w.Participants() {
		s.Users = append(s.Users, user(w, p))
	}
}

func user(w *shm.Window, p shm.Participant) User {
	return User{Process{p.PID, p.Name}, p.Token, p.Joined, w.Alive(p.Token)}
}

// userOf describes the holder of a token.
func userOf(w *shm.Window, token uint32) User {
	if p, ok := w.Participant(token); ok {
		return user(w, p)
	}
	return User{Token: token, Process: Process{Name: "gone"}}
}

// Matches reports whether the argument of a command means this segment: its name, the beginning of its id, or the pid of one who uses it.
func (s *Segment) Matches(arg string) bool {
	if s.Name == arg || len(arg) >= 4 && len(s.ID) >= len(arg) && s.ID[:len(arg)] == arg {
		return true
	}
	pid, err := strconv.Atoi(arg)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(s.Mapped, func(p Process) bool { return p.PID == pid }) ||
		slices.ContainsFunc(s.Open, func(p Process) bool { return p.PID == pid })
}

// Alive returns how many users live.
func (s *Segment) Alive() (n int) {
	for _, u := range s.Users {
		if u.Alive {
			n++
		}
	}
	return n
}
