package manager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/fb2d3dbd/multiproc/shm"
)

// A Segment is a proxy of named shared memory that a server made and keeps open, and the memory itself in this process: reads and writes of it do not ask the server. It
// ends with its last proxy and with the server, also when that is killed: processes that have it open at that moment keep it until they close it.
//
// It is memory of the server's machine. A client on another machine, or one that does not see the server's /dev/shm, gets an error that matches errors.ErrUnsupported.
type Segment struct {
	r   *ref
	seg *shm.Segment
}

// Forms of kindSegment, which are its types.
const (
	formSegment = ""
	formBlock   = "SharedMemory"
	formList    = "ShareableList"
)

// NewSegment makes a segment in the server, or finds one by its name, and opens it here. so are as for shm.Create, but Keep is refused.
func NewSegment(ctx context.Context, m *Manager, o *ObjectOptions, so *shm.Options) (*Segment, error) {
	if so == nil {
		so = &shm.Options{}
	}
	r, err := m.create(ctx, kindSegment, formSegment, o, func(b []byte) ([]byte, error) {
		v, err := encode(0, nil, so)
		return appendBytes(b, v.data), err
	})
	if err != nil {
		return nil, err
	}
	s := &Segment{r: r}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Segment) reference() *ref { return s.r }

func (s *Segment) open(ctx context.Context) error {
	return openMemory(ctx, s.r, func(name string, id uint64) (err error) {
		s.seg, err = shm.Open(name)
		if err == nil && s.seg.ID() != id {
			_ = s.seg.Close()
			return os.ErrNotExist
		}
		return err
	})
}

// openMemory opens what a server keeps.
func openMemory(ctx context.Context, r *ref, open func(name string, id uint64) error) (err error) {
	defer func() {
		if err != nil {
			_ = r.close()
		}
	}()
	q, err := r.request(opGet)
	if err != nil {
		return err
	}
	defer q.release()
	out, err := r.do(ctx, q)
	if err != nil {
		return err
	}
	name, id := out.string(), out.uint()
	if err := out.err(); err != nil {
		return err
	}
	if err = open(name, id); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("manager: shared memory is the memory of the server's machine, and %q is not to be found on this one: %w: %w", name, errors.ErrUnsupported, err)
	}
	return err
}

// Shared returns the segment: its bytes, its arena, and the locks in it are as of any other. It is this process's own place in it, until Close.
func (s *Segment) Shared() *shm.Segment { return s.seg }

// Close closes the segment here and lets it go. It ends when nobody refers to it, and its memory when nobody has it open. A second Close does nothing.
func (s *Segment) Close() error {
	if s.seg == nil {
		return nil
	}
	return errors.Join(s.seg.Close(), s.r.close())
}

// MarshalBinary returns the segment's handle, for another process of this machine.
func (s *Segment) MarshalBinary() ([]byte, error) { return s.r.marshal() }

// UnmarshalBinary opens the segment whose handle b is.
func (s *Segment) UnmarshalBinary(b []byte) (err error) {
	if s.r, err = unmarshal(b, kindSegment, formSegment); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	return s.open(ctx)
}

// A SharedMemory is a proxy of a block of named shared memory that a server made, and the block itself in this process: Python's SharedMemoryManager.SharedMemory, under a name
// that CPython opens as well. The server takes the name away when nobody refers to it any more, and when it ends; who has the block open keeps the memory.
//
// A server that is killed cannot do so. The Manager that has started it does, in Close; and if that is killed too, "ipcstat gc -python" finds what nobody has open. A [Segment]
// needs nobody to do so. As that, a SharedMemory is for the server's machine alone.
type SharedMemory struct {
	r   *ref
	mem *shm.SharedMemory
}

// NewSharedMemory makes a block of size bytes in the server, or finds one by its name, and opens it here.
func NewSharedMemory(ctx context.Context, m *Manager, o *ObjectOptions, size int) (*SharedMemory, error) {
	r, err := m.create(ctx, kindSegment, formBlock, o, func(b []byte) ([]byte, error) { return appendInt(b, size), nil })
	if err != nil {
		return nil, err
	}
	s := &SharedMemory{r: r}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *SharedMemory) reference() *ref { return s.r }

func (s *SharedMemory) open(ctx context.Context) error {
	return openMemory(ctx, s.r, func(name string, _ uint64) (err error) {
		s.mem, err = shm.OpenSharedMemory(name)
		return err
	})
}

// Shared returns the block. Its name is what CPython opens; its Unlink is the server's to call.
func (s *SharedMemory) Shared() *shm.SharedMemory { return s.mem }

// Close closes the block here and lets it go. Its name ends when nobody refers to it. A second Close does nothing.
func (s *SharedMemory) Close() error {
	if s.mem == nil {
		return nil
	}
	return errors.Join(s.mem.Close(), s.r.close())
}

// MarshalBinary returns the block's handle, for another process of this machine.
func (s *SharedMemory) MarshalBinary() ([]byte, error) { return s.r.marshal() }

// UnmarshalBinary opens the block whose handle b is.
func (s *SharedMemory) UnmarshalBinary(b []byte) (err error) {
	if s.r, err = unmarshal(b, kindSegment, formBlock); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	return s.open(ctx)
}

// A ShareableList is a list of numbers, bools, strings, bytes and nils in a [SharedMemory]: Python's SharedMemoryManager.ShareableList, and CPython's byte for byte.
type ShareableList struct {
	r    *ref
	list *shm.ShareableList
}

// NewShareableList makes a list of the items in the server, or finds one by its name, and opens it here.
func NewShareableList(ctx context.Context, m *Manager, o *ObjectOptions, items ...any) (*ShareableList, error) {
	r, err := m.create(ctx, kindSegment, formList, o, func(b []byte) ([]byte, error) {
		v, err := encode(0, nil, &items)
		return appendBytes(b, v.data), err
	})
	if err != nil {
		return nil, err
	}
	l := &ShareableList{r: r}
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *ShareableList) reference() *ref { return l.r }

func (l *ShareableList) open(ctx context.Context) error {
	return openMemory(ctx, l.r, func(name string, _ uint64) (err error) {
		l.list, err = shm.OpenShareableList(name)
		return err
	})
}

// Shared returns the list.
func (l *ShareableList) Shared() *shm.ShareableList { return l.list }

// Close closes the list here and lets it go. Its name ends when nobody refers to it. A second Close does nothing.
func (l *ShareableList) Close() error {
	if l.list == nil {
		return nil
	}
	return errors.Join(l.list.Close(), l.r.close())
}

// MarshalBinary returns the list's handle, for another process of this machine.
func (l *ShareableList) MarshalBinary() ([]byte, error) { return l.r.marshal() }

// UnmarshalBinary opens the list whose handle b is.
func (l *ShareableList) UnmarshalBinary(b []byte) (err error) {
	if l.r, err = unmarshal(b, kindSegment, formList); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	return l.open(ctx)
}

// namesOf begins the names of a server's blocks. They are such as CPython makes up, so that tools know them.
func namesOf(server uint64) string { return fmt.Sprintf("psm_%016x_", server) }

// unlinkLeft takes the names of blocks away that a server has left which did not end in order.
func unlinkLeft(server uint64) error {
	entries, err := os.ReadDir("/dev/shm")
	if errors.Is(err, os.ErrNotExist) {
		return nil // there are no blocks on this platform
	}
	errs := []error{err}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), namesOf(server)) {
			errs = append(errs, shm.UnlinkSharedMemory(e.Name()))
		}
	}
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, os.ErrNotExist) })...)
}
