package shm

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/edsrzf/mmap-go"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// A SharedMemory is a named block of bytes with nothing else in it: what CPython's multiprocessing.shared_memory.SharedMemory makes and opens, under
// the same name, /dev/shm/NAME. Either side may make it and the other open it.
//
// Unlike a [Segment] it has no participants, and so no locks that survive their owner; and it stays until somebody calls Unlink. In CPython every process
// that has opened one may do so against your will: up to 3.12 the resource tracker of a process that only attached unlinks the block when that
// process ends (gh-82300). There, call
//
//	resource_tracker.unregister("/" + name, "shared_memory")
//
// after the attach; from 3.13 on attach with SharedMemory(name, track=False). This package never unlinks what it was not told to.
//
// The block is a file that its users can truncate. ReadAt, WriteAt, and everything of [ShareableList] return ErrTruncated then; work on
// the slice that Bytes returns faults, unless it is done in Guard.
type SharedMemory struct {
	mem     []byte
	name    string
	closed  atomic.Bool
	exposed atomic.Bool
}

const (
	pythonPrefix = "psm_" // of the names that CPython makes up
	maxShared    = maxPart / 4
)

func sharedPath(name string) (string, error) {
	if name == "" || len(name) > 250 || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return "", fmt.Errorf("shm: %q is no name for shared memory: it has 1 to 250 bytes, without '/' and NUL", name)
	}
	if !sys.Futex {
		return "", fmt.Errorf("shm: %w", sys.Unsupported("named shared memory"))
	}
	return namedDir + "/" + name, nil
}

// CreateSharedMemory makes a block of size bytes, all zeros, under a name that nobody has; an error that matches os.ErrExist says that it is
// taken. With the name "" it makes one up, as CPython does. All of its memory is reserved: where there is not enough, the error matches
// ErrNoMemory.
func CreateSharedMemory(name string, size int) (*SharedMemory, error) {
	return createShared(name, size, nil)
}

// createShared has the bytes filled in before the name appears.
func createShared(name string, size int, fill func(mem []byte)) (*SharedMemory, error) {
	if size <= 0 || size > maxShared {
		return nil, fmt.Errorf("shm: shared memory of %d bytes: the size must be from 1 to %d", size, maxShared)
	}
	if err := available(uint64(size)); err != nil {
		return nil, err
	}
	chosen := name != ""
	if !chosen {
		name = madeUpName()
	}
	path, err := sharedPath(name)
	if err != nil {
		return nil, err
	}
	fd, err := sys.TempFile(namedDir, namedMode)
	if err != nil {
		return nil, fmt.Errorf("shm: create %q: %w", name, noRoom(err))
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close() // the mapping needs it no more
	if err := sys.Allocate(fd, int64(size)); err != nil {
		return nil, fmt.Errorf("shm: create %q: reserve %d bytes: %w", name, size, noRoom(err))
	}
	mem, err := mmap.MapRegion(f, size, mmap.RDWR, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("shm: map %d bytes: %w", size, err)
	}
	if fill != nil {
		fill(mem)
	}
	for {
		err = sys.LinkFile(fd, path)
		if !sys.IsExist(err) || chosen {
			break
		}
		name = madeUpName()
		path = namedDir + "/" + name
	}
	if err != nil {
		mem.Unmap()
		if sys.IsExist(err) {
			err = os.ErrExist
		}
		return nil, fmt.Errorf("shm: create %q: %w", name, noRoom(err))
	}
	return &SharedMemory{mem: mem, name: name}, nil
}

func madeUpName() string {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return pythonPrefix + hex.EncodeToString(b[:])
}

// OpenSharedMemory opens the block of this name. An error that matches os.ErrNotExist says that there is none, ErrTruncated that it is empty: CPython
// gives it its size a moment after its name.
func OpenSharedMemory(name string) (*SharedMemory, error) {
	m := new(SharedMemory)
	if err := m.open(name); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *SharedMemory) open(name string) error {
	path, err := sharedPath(name)
	if err != nil {
		return err
	}
	fd, err := sys.OpenFile(path, os.O_RDWR|sys.NoFollow, 0)
	if err != nil {
		return fmt.Errorf("shm: open %q: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	size, err := sys.FileSize(fd)
	switch {
	case err != nil:
		return fmt.Errorf("shm: open %q: %w", name, err)
	case size == 0:
		return fmt.Errorf("shm: open %q: %w to 0 bytes, or it has not got its size yet", name, ErrTruncated)
	case size > maxShared:
		return fmt.Errorf("shm: open %q: %w: %d bytes", name, ErrForeign, size)
	}
	mem, err := mmap.MapRegion(f, int(size), mmap.RDWR, 0, 0)
	if err != nil {
		return fmt.Errorf("shm: map %d bytes: %w", size, err)
	}
	m.mem, m.name = mem, name
	return nil
}

// UnlinkSharedMemory takes the name away. Processes that have the block open keep it.
func UnlinkSharedMemory(name string) error {
	path, err := sharedPath(name)
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("shm: unlink %q: %w", name, err)
	}
	return nil
}

// Name returns the block's name.
func (m *SharedMemory) Name() string { return m.name }

// Size returns the number of bytes that the block had when it was opened.
func (m *SharedMemory) Size() int { return len(m.mem) }

// Bytes returns the block's bytes in place, or nil after Close. An access to a part that somebody has truncated faults: see Guard.
func (m *SharedMemory) Bytes() []byte {
	m.exposed.Store(true)
	if m.closed.Load() {
		return nil
	}
	return m.mem
}

// Guard runs fn with the block's bytes in place and returns its error, or one that matches ErrTruncated when fn touched what is no longer there.
func (m *SharedMemory) Guard(fn func(mem []byte) error) error {
	mem := m.Bytes()
	if mem == nil {
		return ErrClosed
	}
	if err := guard(m.mem, func() error { return fn(mem) }); err != nil {
		return err
	}
	return m.check()
}

func (m *SharedMemory) check() error {
	if m.closed.Load() {
		return ErrClosed
	}
	return nil
}

// ReadAt reads from the block at off, as io.ReaderAt says.
func (m *SharedMemory) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off > int64(len(m.mem)) {
		return 0, m.outside(off)
	}
	err = guard(m.mem, func() error { n = copy(p, m.mem[off:]); return nil })
	runtime.KeepAlive(m)
	if err == nil {
		err = m.check()
	}
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// WriteAt writes to the block at off. What does not fit is not written at all.
func (m *SharedMemory) WriteAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off > int64(len(m.mem)) || len(p) > len(m.mem)-int(off) {
		return 0, m.outside(off)
	}
	err = guard(m.mem, func() error { n = copy(m.mem[off:], p); return nil })
	runtime.KeepAlive(m)
	if err == nil {
		err = m.check()
	}
	return n, err
}

func (m *SharedMemory) outside(off int64) error {
	if err := m.check(); err != nil {
		return err
	}
	return fmt.Errorf("shm: offset %d is out of range: the block has %d bytes", off, len(m.mem))
}

// Close gives the block up in this process; the block and its name stay. Slices that Bytes has returned can still be used, and nobody else sees what is
// written there. A second Close does nothing.
func (m *SharedMemory) Close() error {
	if m.mem == nil || m.closed.Swap(true) {
		return nil
	}
	if err := sys.Detach(m.mem); err != nil {
		return fmt.Errorf("shm: close: %w", err)
	}
	if !m.exposed.Load() {
		runtime.AddCleanup(m, func(mem []byte) { (*mmap.MMap)(&mem).Unmap() }, m.mem)
	}
	return nil
}

// Unlink takes the block's name away, once for all its users; those who have it open keep it.
func (m *SharedMemory) Unlink() error { return UnlinkSharedMemory(m.name) }

// MarshalBinary returns the block's name: another process opens it by that, as CPython's pickles do.
func (m *SharedMemory) MarshalBinary() ([]byte, error) {
	if m.mem == nil {
		return nil, errors.New("shm: the zero SharedMemory cannot be sent")
	}
	return []byte(m.name), m.check()
}

// UnmarshalBinary opens the block whose name b is. Whoever gets it closes it.
func (m *SharedMemory) UnmarshalBinary(b []byte) error {
	if m.mem != nil {
		return errors.New("shm: UnmarshalBinary of a SharedMemory that is open already")
	}
	return m.open(string(b))
}
