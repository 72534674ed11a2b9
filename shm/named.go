package shm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// The names of segments are files in the kernel's shared-memory file system, with a prefix that tells them from others'.
const (
	namedDir    = "/dev/shm"
	namedPrefix = "multiproc-"
	namedMode   = 0o600
)

func namedPath(name string) (string, error) {
	if name == "" || len(name) > 200 || strings.ContainsAny(name, "/\x00") {
		return "", fmt.Errorf("shm: %q is no name for a segment: it has 1 to 200 bytes, without '/' and NUL", name)
	}
	if !sys.Futex { // the platforms with futexes are those with this file system
		return "", fmt.Errorf("shm: %w", sys.Unsupported("a named segment"))
	}
	return namedDir + "/" + namedPrefix + name, nil
}

// Create makes a segment that programs of the same user can open by its name. It is whole before the name appears. An error that matches
// os.ErrExist says that the name is taken by somebody alive, or by a file. All of its memory is reserved: where there is not enough, the error matches
// ErrNoMemory, and nobody faults later.
//
// The memory and the name are gone when the last process that has the segment open closes it or ends; of one that is killed the name may
// stay, which the next Create, or ipcstat gc, takes away. Nobody can truncate the memory: what stands under the name only leads to it. With
// [Options.Keep] the memory itself is a file that stays.
func Create(name string, o *Options) (*Segment, error) {
	path, err := namedPath(name)
	if err != nil {
		return nil, err
	}
	lay, err := o.geometry(64 << 10)
	if err != nil {
		return nil, err
	}
	if o == nil {
		o = &Options{}
	}
	if err := makeWay(path); err != nil {
		return nil, fmt.Errorf("shm: create %q: %w", name, err)
	}
	if err := fits(uint64(lay.total)); err != nil {
		return nil, err
	}
	var fd int
	if o.Keep {
		fd, err = sys.TempFile(namedDir, namedMode)
	} else {
		fd, err = sys.Memfd(namedPrefix+name, int64(lay.total))
	}
	if err != nil {
		return nil, fmt.Errorf("shm: create %q in %s: %w", name, namedDir, err)
	}
	if err := reserve(fd, lay); err != nil {
		sys.CloseFD(fd)
		return nil, fmt.Errorf("shm: create %q: reserve %d bytes: %w", name, lay.total, err)
	}
	s, err := build(fd, lay, name, o)
	if err != nil {
		return nil, err
	}
	for {
		if o.Keep {
			err = sys.LinkFile(s.fd, path)
		} else {
			s.label, err = publish(s, path)
		}
		if !sys.IsExist(err) {
			break
		}
		if err = makeWay(path); err != nil {
			break
		}
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("shm: create %q: %w", name, noRoom(err))
	}
	return s, nil
}

// reserve takes the memory behind fd.
func reserve(fd int, lay geometry) error {
	if err := available(uint64(lay.total)); err != nil {
		return err
	}
	return noRoom(sys.Allocate(fd, int64(lay.total)))
}

// noRoom makes a full file system, or memory, a thing that ErrNoMemory matches.
func noRoom(err error) error {
	if sys.IsFull(err) {
		return fmt.Errorf("%w: %w", ErrNoMemory, err)
	}
	return err
}

// makeWay returns nil when nothing stands under the path, after it has taken a dead name away, and else an error that matches os.ErrExist.
func makeWay(path string) error {
	for end := time.Now().Add(doorPatience); ; time.Sleep(time.Millisecond) {
		switch err := buryName(path); {
		case err == nil || errors.Is(err, os.ErrNotExist):
			return nil
		case err == errReplaced || err == errBurying:
			if time.Now().After(end) {
				return errStill
			}
		default:
			return err
		}
	}
}

var (
	errBurying = errors.New("another process takes the name away")
	errStill   = fmt.Errorf("%w: its last user is gone, and the process that takes the name away stands still", os.ErrExist)
)

// buryName takes the name away if it is that of a segment that nobody has open any more; os.ErrExist says that it is not.
func buryName(path string) error {
	fd, err := sys.OpenFile(path, os.O_RDWR|sys.NoFollow, 0)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return err
		}
		return fmt.Errorf("%w, and cannot be opened: %w", os.ErrExist, err)
	}
	defer sys.CloseFD(fd)
	if _, err := readLabel(fd); err != nil {
		return os.ErrExist // a kept segment, or somebody's file
	}
	l := &label{fd: fd, path: path}
	err = l.bury()
	if err == os.ErrExist {
		if dead, e := deadLabel(fd); e == nil && dead {
			return errBurying
		}
	}
	return err
}

// Open opens the segment of this name. An error that matches os.ErrNotExist says that there is none, ErrForeign that the
// file is not a segment of this version.
func Open(name string) (*Segment, error) {
	path, err := namedPath(name)
	if err != nil {
		return nil, err
	}
	for {
		s, err := open(name, path)
		if err == nil {
			return s, nil
		}
		if !errors.Is(err, errReplaced) {
			return nil, fmt.Errorf("shm: open %q: %w", name, err)
		}
	}
}

func open(name, path string) (*Segment, error) {
	fd, err := sys.OpenFile(path, os.O_RDWR|sys.NoFollow, 0)
	if err != nil {
		return nil, err
	}
	s := new(Segment)
	h, err := readLabel(fd)
	if errors.Is(err, ErrForeign) { // it may be the memory itself
		return s, s.open(fd, name)
	}
	l := &label{fd: fd, path: path}
	var mem int
	if err == nil {
		mem, err = findMemory(fd, h)
	}
	if err == nil {
		err = s.open(mem, name)
	}
	if err != nil {
		sys.CloseFD(fd)
		return nil, err
	}
	if err := s.enterLabel(l); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// enterLabel makes s one of those that keep the name alive. It owns the label.
func (s *Segment) enterLabel(l *label) error {
	err := l.enter(s)
	if err == nil && !l.leads() {
		err = errReplaced // somebody has taken the name away before we were in
	}
	if err != nil {
		sys.CloseFD(l.fd)
		return err
	}
	s.label = l
	return nil
}

// relabel enters the name of a segment that was reached by a descriptor. If there is none any more, the segment goes on without.
func (s *Segment) relabel() {
	name := s.hdr.name // read once
	n := bytes.IndexByte(name[:], 0)
	if n <= 0 {
		return
	}
	path, err := namedPath(string(name[:n]))
	if err != nil {
		return
	}
	s.name = string(name[:n])
	if s.hdr.flags&flagKeep != 0 {
		return
	}
	fd, err := sys.OpenFile(path, os.O_RDWR|sys.NoFollow, 0)
	if err != nil {
		return
	}
	if h, err := readLabel(fd); err != nil || h.id != s.id {
		sys.CloseFD(fd)
		return
	}
	_ = s.enterLabel(&label{fd: fd, path: path})
}

// OpenOrCreate opens the segment of this name, or makes it if there is none: what two programs call that do not know
// who comes first. It refuses a segment with other sizes than o asks for.
func OpenOrCreate(name string, o *Options) (*Segment, error) {
	want, err := o.geometry(64 << 10)
	if err != nil {
		return nil, err
	}
	for {
		s, err := Open(name)
		if err == nil {
			if s.lay != want {
				s.Close()
				return nil, fmt.Errorf("shm: open %q: it has Size %d, Arena %d, Participants %d; asked for were %d, %d, %d: use the same Options, or Remove it",
					name, s.lay.user, s.lay.arena, s.lay.participants, want.user, want.arena, want.participants)
			}
			return s, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if s, err = Create(name, o); err == nil || !errors.Is(err, os.ErrExist) || errors.Is(err, errStill) {
			return s, err
		}
	}
}

// Unlink takes the name away. Processes that have the segment open keep it. An error that matches os.ErrNotExist says
// that there was none.
func Unlink(name string) error {
	path, err := namedPath(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("shm: remove %q: %w", name, err)
	}
	return nil
}
