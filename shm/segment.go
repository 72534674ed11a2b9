// Package shm makes memory that processes share: anonymous segments that travel to children, named ones that unrelated
// programs open, and typed views on them.
//
// A segment is a space: besides the bytes that the user lays out it has a table of its participants, which is how the locks
// in it know a dead owner from a slow one, and an arena from which small objects are allocated. An object travels between
// processes as a [Ref].
//
// [New] makes an anonymous segment, [Create] and [Open] are for those with names, Close leaves one, and [Unlink] takes a name away. Of the views on a segment NewValue
// and its like allocate in the arena, OpenValue finds what a Ref names, and ValueAt is at an offset of the user's bytes that all agree on. SliceOf and
// MatrixOf view any bytes. [SharedMemory] and [ShareableList] are CPython's.
//
// Every method may be called at any time, also while another goroutine closes the segment: it then returns an
// error that matches os.ErrClosed. Memory that was handed out as a slice stays readable after Close; it no longer belongs to the
// segment and nobody else sees what is written there.
package shm

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/owner"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// Errors of this package. They are matched with errors.Is.
var (
	// ErrClosed says that the segment was closed in this process; it matches os.ErrClosed.
	ErrClosed = layout.ErrClosed
	// ErrForeign says that a file or descriptor is no segment, or one of another version or kind of machine.
	ErrForeign = layout.ErrForeign
	// ErrCorrupt says that what stands in the segment cannot be.
	ErrCorrupt = layout.ErrCorrupt
	// ErrNoSpace says that the arena is full.
	ErrNoSpace = errors.New("shm: the segment's arena is full; make the segment with a larger Options.Arena")
	// ErrTooMany says that the segment has no place for another participant.
	ErrTooMany = layout.ErrTooMany
	// ErrTooLarge says that a value has more bytes than the place that it is to be stored in.
	ErrTooLarge = layout.ErrTooLarge
	// ErrNoMemory says that the machine, or the file system of named segments, has not so much memory.
	ErrNoMemory = errors.New("not enough memory")
	// ErrTruncated says that the file under some memory was made shorter by somebody.
	ErrTruncated = errors.New("the file under the memory was truncated")
)

// Options for a new segment. The zero value works.
type Options struct {
	// Size is the number of bytes that Bytes returns, to be laid out by the user. They start as zeros.
	Size int
	// Arena is the number of bytes from which Alloc, NewValue and NewArray take. If Size and Arena are both 0, the
	// arena has 1 GiB in an anonymous segment, of which only what is touched takes memory, and 64 KiB in a named one,
	// whose memory is all reserved at once.
	Arena int
	// Participants is the number of processes that can have the segment open at a time, 1 to 4094; 0 means 4094.
	Participants int
	// HugePages asks the kernel for huge pages under the user's bytes and the arena. It is advice: see
	// /sys/kernel/mm/transparent_hugepage/shmem_enabled.
	HugePages bool
	// Prefault takes and maps all memory at once, so that no later access waits for the kernel.
	Prefault bool
	// Keep makes the memory of a named segment a file under its name, which stays until [Unlink], also when nobody has the segment open. Without it the
	// memory is gone with the last process that has it open, and then so is the name. Who truncates the file of a kept segment makes the accesses of
	// others fault: see [Segment.Guard].
	Keep bool
}

// A Segment is one mapping of shared memory in this process, and this process's place among its participants.
type Segment struct {
	mem     []byte         // the whole mapping; never unmapped while the Segment can be reached
	fd      int            // of the description that mem is mapped by and that holds this participant's byte
	token   *atomic.Uint32 // of this process, 0 when it is closed; see owner.NewToken
	table   *owner.Table
	hdr     *header
	lay     geometry
	id      uint64
	name    string
	label   *label      // the file under the name, or nil
	exposed atomic.Bool // a slice of mem was handed out
	looks   bool        // it is a Window's: mem is for reading alone
}

// New makes an anonymous segment. It is freed when the last process that has it open closes it or ends.
func New(o *Options) (*Segment, error) {
	lay, err := o.geometry(1 << 30)
	if err != nil {
		return nil, err
	}
	if err := fits(uint64(lay.user)); err != nil {
		return nil, err
	}
	fd, err := sys.Memfd("multiproc", int64(lay.total))
	if err != nil {
		return nil, fmt.Errorf("shm: %w", err)
	}
	if o != nil && o.Prefault {
		if err := available(uint64(lay.total)); err != nil {
			sys.CloseFD(fd)
			return nil, err
		}
	}
	return build(fd, lay, "", o)
}

// fits refuses what is more than the machine's memory.
func fits(n uint64) error {
	if n < 64<<20 { // to ask takes longer than to make a small segment
		return nil
	}
	if total, _ := sys.Memory(); total > 0 && n > total {
		return fmt.Errorf("shm: %d bytes are more than the memory there is, %d: %w", n, total, ErrNoMemory)
	}
	return nil
}

// available refuses what is more than the memory that can be had now: to ask the kernel for so much may end other processes.
func available(n uint64) error {
	if n < 1<<20 {
		return nil
	}
	if _, left := sys.Memory(); left > 0 && n > left {
		return fmt.Errorf("shm: %d bytes are more than the memory that is left, %d: %w", n, left, ErrNoMemory)
	}
	return nil
}

// build maps the empty file behind fd, writes the header and joins. It owns fd.
func build(fd int, lay geometry, name string, o *Options) (*Segment, error) {
	mem, err := mapFD(fd, lay.total, true)
	if err != nil {
		sys.CloseFD(fd)
		return nil, err
	}
	var id [8]byte
	rand.Read(id[:]) // never fails
	var flags uint64
	if o != nil {
		if o.Keep {
			flags |= flagKeep
		}
		if o.HugePages {
			flags |= flagHuge
		}
		if err := prepare(mem, lay, flags, o.Prefault); err != nil {
			sys.Unmap(mem)
			sys.CloseFD(fd)
			return nil, err
		}
	}
	format(mem, lay, binary.LittleEndian.Uint64(id[:])|1, name, flags)
	s := new(Segment)
	if err := s.adopt(fd, mem, lay, name, (*owner.Table).JoinFirst); err != nil {
		return nil, err
	}
	return s, nil
}

// prepare asks for huge pages, and takes the memory if it is to be taken now.
func prepare(mem []byte, lay geometry, flags uint64, now bool) error {
	if flags&flagHuge != 0 {
		_ = sys.AdviseHuge(mem[lay.userOff:]) // a kernel without them refuses
	}
	if !now {
		return nil
	}
	err := sys.Populate(mem)
	if errors.Is(err, errors.ErrUnsupported) { // the pages are reserved by who made the file, or they are touched one by one
		for i := 0; i < len(mem); i += pageSize {
			mem[i] = 0
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("shm: take %d bytes of memory: %w: %w", len(mem), ErrNoMemory, err)
	}
	return nil
}

// Attach opens the segment behind a descriptor that was inherited or received. It opens a file description of its own and
// leaves fd to the caller.
func Attach(fd int) (*Segment, error) {
	own, err := sys.Reopen(fd)
	if err != nil {
		return nil, fmt.Errorf("shm: attach: %w", err)
	}
	s := new(Segment)
	if err := s.open(own, ""); err != nil {
		return nil, err
	}
	s.relabel()
	return s, nil
}

// open maps and joins the segment behind fd, which it owns.
func (s *Segment) open(fd int, name string) error {
	mem, lay, err := mapChecked(fd, true)
	if err != nil {
		sys.CloseFD(fd)
		return err
	}
	_ = prepare(mem, lay, headerOf(mem).flags, false)
	return s.adopt(fd, mem, lay, name, (*owner.Table).Join)
}

// mapChecked maps the whole of the segment behind fd, after it has checked that it is one.
func mapChecked(fd int, write bool) ([]byte, geometry, error) {
	size, err := sys.FileSize(fd)
	if err != nil {
		return nil, geometry{}, fmt.Errorf("shm: %w", err)
	}
	if size < pageSize {
		return nil, geometry{}, fmt.Errorf("shm: %w: %d bytes are too few for a segment", ErrForeign, size)
	}
	// The first page says how much to map; it is looked at through a mapping of its own.
	first, err := mapFD(fd, pageSize, write)
	if err != nil {
		return nil, geometry{}, err
	}
	lay, err := readGeometry(first, uint64(size))
	if e := sys.Unmap(first); err == nil && e != nil {
		err = e
	}
	if err != nil {
		return nil, geometry{}, fmt.Errorf("shm: %w", err)
	}
	mem, err := mapFD(fd, lay.total, write)
	return mem, lay, err
}

// mapFD maps size bytes of the file. The mapping holds fd's own file description, and with it this participant's byte.
func mapFD(fd, size int, write bool) ([]byte, error) {
	mem, err := sys.Map(fd, size, write)
	if err != nil {
		return nil, fmt.Errorf("shm: map %d bytes: %w", size, err)
	}
	return mem, nil
}

// adopt makes s the Segment of a formatted mapping, which it joins. It owns fd and mem.
func (s *Segment) adopt(fd int, mem []byte, lay geometry, name string, join func(*owner.Table) (uint32, error)) error {
	s.mem, s.fd, s.lay, s.name, s.hdr = mem, fd, lay, name, headerOf(mem)
	s.id = s.hdr.id
	table, err := owner.NewTable(mem[tableOff:], lay.participants, fd, tableOff)
	var tok uint32
	if err == nil {
		tok, err = join(table)
	}
	if err != nil {
		sys.Unmap(mem)
		sys.CloseFD(fd)
		return fmt.Errorf("shm: %w", err)
	}
	s.table = table
	s.token = owner.NewToken()
	s.token.Store(tok)
	runtime.AddCleanup(s, owner.FreeToken, s.token)
	remember(s)
	return nil
}

// Close leaves the segment. Locks of it that this process still holds count as those of a dead owner. Calls under way in
// other goroutines, also those that wait, end with ErrClosed within 50 ms. A second Close does nothing.
func (s *Segment) Close() error {
	if s.token == nil {
		return nil
	}
	tok := s.token.Swap(0) // from here on every method says ErrClosed
	if tok == 0 {
		return nil
	}
	forget(s)
	s.table.CloseWatches()
	// First the mapping goes, then the place among the participants: others take this one for dead from there on, and mend what
	// it held, so nothing here may write to the segment any more. Late readers and writers land in private zero pages,
	// never in a fault. The addresses are given back when the garbage collector has proven that nobody has them.
	if err := sys.Detach(s.mem); err != nil {
		return fmt.Errorf("shm: close: the mapping stays, and this process a participant until it ends: %w", err)
	}
	err := s.table.Leave(tok)
	if s.label != nil {
		s.label.leave()
	}
	if e := sys.CloseFD(s.fd); err == nil {
		err = e
	}
	if !s.exposed.Load() {
		runtime.AddCleanup(s, func(mem []byte) { sys.Unmap(mem) }, s.mem)
	}
	if err != nil {
		return fmt.Errorf("shm: close: %w", err)
	}
	return nil
}

// check returns ErrClosed if the segment is closed. A method calls it after its access: memory that it touched may by then
// have been the private pages that Close puts in place.
func (s *Segment) check() error {
	if s.Self() == 0 {
		return ErrClosed
	}
	return nil
}

// Bytes returns the Options.Size bytes that are the user's own, or nil after Close.
func (s *Segment) Bytes() []byte {
	s.exposed.Store(true)
	if s.check() != nil {
		return nil
	}
	return s.mem[s.lay.userOff : s.lay.userOff+s.lay.user : s.lay.userOff+s.lay.user]
}

// ID returns the number that names the segment in every process that has it open. It is never 0.
func (s *Segment) ID() uint64 { return s.id }

// Name returns the name under which the segment was created or opened, or "" for an anonymous one.
func (s *Segment) Name() string { return s.name }

// Size returns the number of bytes that Bytes returns.
func (s *Segment) Size() int { return s.lay.user }

// Segment returns s: what a process needs to have for s to be sent to it.
func (s *Segment) Segment() *Segment { return s }

// Export returns a new descriptor of the segment's file to be passed to another process, which calls [Attach]. It shares no
// lock with this process's own. The caller closes it.
func (s *Segment) Export() (fd int, err error) {
	if err := s.check(); err != nil {
		return -1, err
	}
	fd, err = sys.Reopen(s.fd)
	if closed := s.check(); closed != nil { // fd may be of whatever has got the closed number since
		if err == nil {
			sys.CloseFD(fd)
		}
		return -1, closed
	}
	if err != nil {
		return -1, fmt.Errorf("shm: export: %w", err)
	}
	return fd, nil
}

// Self returns this process's participant token, or 0 after Close. With Alive it makes a Segment the
// futex.Participants of the locks in it.
func (s *Segment) Self() uint32 {
	if s.token == nil {
		return 0
	}
	return s.token.Load()
}

// Token returns the word that Self reads, for package futex, which reads it itself as long as it holds the Segment. Nobody else has a use for
// it, and nobody may change it. It is nil for the zero value.
func (s *Segment) Token() *atomic.Uint32 { return s.token }

// Keeps reports whether mem is the segment's own: Close takes that from this process before others may take it for dead. It is for package futex.
func (s *Segment) Keeps(mem []byte) bool { return within(s.mem, mem) }

// Alive reports whether the participant with this token may still run; false is proven, by the kernel, not guessed from
// a time-out. A process that has just been killed and waited for may be alive here for moments, as long as somebody reads its files under
// /proc: ask again. After Close nothing can be proven any more, and it reports true.
func (s *Segment) Alive(token uint32) bool {
	if token != 0 && token == s.Self() || s.table.Alive(token) {
		return true
	}
	return s.check() != nil // what the table said may have been said by the pages that Close puts in its place
}

// Watch arranges that fn is called once, on a goroutine of its own, soon after the process of the participant with this token
// has ended, and when s is closed. It is a hint to ask Alive now, and may never come; stop undoes it. With Watch a Segment is a
// futex.Watcher: who waits for a lock of a process that is killed goes on at once.
//
// A watched participant costs one descriptor and one goroutine, and no thread, however many watch it.
func (s *Segment) Watch(token uint32, fn func()) (stop func()) { return s.table.Watch(token, fn) }

// A Participant is a process that has the segment open. It has these fields:
//
//	Token  uint32    // its number in this segment, as it stands in the locks that it holds
//	PID    int
//	Name   string    // of the program
//	Joined time.Time
type Participant = owner.Info

// Participants returns who has the segment open. The dead whom nobody has found yet are among them; ask Alive.
func (s *Segment) Participants() []Participant {
	all := s.table.All()
	if s.check() != nil {
		return nil
	}
	return all
}

// Participant describes the holder of a token; ok is false when it has left.
func (s *Segment) Participant(token uint32) (p Participant, ok bool) { return s.table.Info(token) }
