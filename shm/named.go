package shm

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// Named segments are files in the kernel's shared-memory file system, with a prefix that tells them from others'.
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

// Create makes a segment that programs of the same user can open by its name. It is whole before the name appears. An
// error that matches os.ErrExist says that the name is taken. All of its memory is reserved: a full file system is an error here.
// The name stays until [Remove], also after the last process has closed the segment.
func Create(name string, o *Options) (*Segment, error) {
	path, err := namedPath(name)
	if err != nil {
		return nil, err
	}
	lay, err := o.geometry(64 << 10)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("shm: create %q: %w", name, os.ErrExist)
	}
	fd, err := sys.TempFile(namedDir, namedMode)
	if err != nil {
		return nil, fmt.Errorf("shm: create %q in %s: %w", name, namedDir, err)
	}
	if err := sys.Allocate(fd, int64(lay.total)); err != nil {
		sys.CloseFD(fd)
		return nil, fmt.Errorf("shm: create %q: reserve %d bytes in %s: %w", name, lay.total, namedDir, err)
	}
	s, err := build(fd, lay, name)
	if err != nil {
		return nil, err
	}
	if err := sys.LinkFile(s.fd, path); err != nil {
		s.Close()
		if sys.IsExist(err) {
			err = os.ErrExist
		}
		return nil, fmt.Errorf("shm: create %q: %w", name, err)
	}
	return s, nil
}

// Open opens the segment of this name. An error that matches os.ErrNotExist says that there is none, ErrForeign that the
// file is not a segment of this version.
func Open(name string) (*Segment, error) {
	path, err := namedPath(name)
	if err != nil {
		return nil, err
	}
	fd, err := sys.OpenFile(path, os.O_RDWR|sys.NoFollow, 0)
	if err != nil {
		return nil, fmt.Errorf("shm: open %q: %w", name, err)
	}
	s := new(Segment)
	if err := s.open(fd, name); err != nil {
		return nil, fmt.Errorf("shm: open %q: %w", name, err)
	}
	return s, nil
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
		if s, err = Create(name, o); err == nil || !errors.Is(err, os.ErrExist) {
			return s, err
		}
	}
}

// Remove takes the name away. Processes that have the segment open keep it. An error that matches os.ErrNotExist says
// that there was none.
func Remove(name string) error {
	path, err := namedPath(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("shm: remove %q: %w", name, err)
	}
	return nil
}
