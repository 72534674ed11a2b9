package shm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/owner"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// A label is the small file under the name of a segment whose memory has no name: it says through which door, a descriptor of a living
// participant, the memory is reached. It is never mapped, only read and written, so that nobody who truncates it makes anybody fault.
//
//	0     head (magic, signature, size, check), id of the segment, time of creation
//	64    doors, 16 bytes for each participant: pid:32 | descriptor:32 | start time of the process:64
//
// Participant i of the segment holds the lock of byte 2^40+i of the label, through a description of its own, after it has written its door. So
// the first held byte leads to a living participant, and when no byte is held the name is dead. Who buries a dead name takes all the bytes at once: nobody can
// enter meanwhile, and a second one who buries must stand back.
type label struct {
	fd     int
	path   string
	number int // of this participant; 0: not entered
}

// labelHead stands first in the file of a label.
type labelHead struct {
	head    layout.Head
	id      uint64
	created int64
	_       [16]byte
}

// door stands behind it, one for each participant.
type door struct {
	pid, fd uint32
	start   uint64
}

const (
	labelSize  = 64
	doorSize   = 16
	labelLocks = 1 << 40

	_ = -(unsafe.Sizeof(labelHead{}) ^ labelSize)
	_ = -(unsafe.Offsetof(labelHead{}.id) ^ layout.HeadSize)
	_ = -(unsafe.Sizeof(door{}) ^ doorSize)
)

var (
	labelMagic = layout.Magic("MPSHNAME")

	errDeadName = fmt.Errorf("the last process that had it open is gone: %w", os.ErrNotExist)
	errReplaced = errors.New("the name leads elsewhere by now")
)

func doorOff(number int) int64 { return labelSize + int64(number-1)*doorSize }

// publish puts s under the path. The label is whole, and s entered, before the name appears.
func publish(s *Segment, path string) (*label, error) {
	fd, err := sys.TempFile(namedDir, namedMode)
	if err != nil {
		return nil, err
	}
	l := &label{fd: fd, path: path}
	h := labelHead{id: s.id, created: time.Now().UnixNano()}
	h.head.Publish(labelMagic, labelSize)
	if err = sys.WriteAt(fd, layout.View(&h), 0); err == nil {
		err = l.enter(s)
	}
	if err == nil {
		fault.Point("name.written")
		err = sys.LinkFile(fd, path)
		fault.Point("name.linked")
	}
	if err != nil {
		sys.CloseFD(fd)
		return nil, err
	}
	return l, nil
}

// readLabel reads and checks the label behind fd.
func readLabel(fd int) (labelHead, error) {
	var h labelHead
	n, err := sys.ReadUpTo(fd, layout.View(&h), 0)
	if err != nil {
		return h, err
	}
	if n < labelSize {
		return h, fmt.Errorf("%w: %d bytes are too few for a segment or its name", ErrForeign, n)
	}
	_, err = h.head.Check(labelMagic, labelSize)
	return h, err
}

// enter writes s's door and then locks its byte.
func (l *label) enter(s *Segment) error {
	number := owner.Number(s.Self())
	pid := os.Getpid()
	start, _ := sys.StartTime(pid)
	d := door{uint32(pid), uint32(s.fd), start}
	if err := sys.WriteAt(l.fd, layout.View(&d), doorOff(number)); err != nil {
		return fmt.Errorf("write this process's door: %w", err)
	}
	fault.Point("name.door")
	held, err := sys.TryLockByte(l.fd, labelLocks+int64(number))
	if err == nil && !held {
		err = errReplaced // it is being buried
	}
	if err == nil {
		l.number = number
		fault.Point("name.entered")
	}
	return err
}

// leads reports whether the path still leads to this label.
func (l *label) leads() bool {
	id, err := sys.Identity(l.fd)
	now, e := sys.IdentityOf(l.path)
	return err == nil && e == nil && id == now
}

// leave gives up this participant's byte. If it was the last, it takes the name away.
func (l *label) leave() {
	_ = sys.UnlockByte(l.fd, labelLocks+int64(l.number))
	fault.Point("name.left")
	_ = l.bury()
	sys.CloseFD(l.fd)
}

// bury takes the name away if nobody holds a byte of it. What it locks is free again when its descriptor is closed.
func (l *label) bury() error {
	all, err := sys.TryLockRange(l.fd, labelLocks+1, owner.Max)
	switch {
	case err != nil:
		return err
	case !all:
		return os.ErrExist
	case !l.leads(): // only who holds all the bytes takes the name away
		return errReplaced
	}
	fault.Point("name.burying")
	err = os.Remove(l.path)
	fault.Point("name.buried")
	return err
}

// deadLabel reports whether nobody is entered in the label behind fd, or somebody is burying it.
func deadLabel(fd int) (bool, error) {
	_, n, err := sys.FirstHeld(fd, labelLocks+1, owner.Max)
	return n != 1, err
}

// findMemory opens the memory that the label behind fd leads to, through the door of the first participant that lets it in. The error matches
// os.ErrNotExist when nobody is entered.
func findMemory(fd int, h labelHead) (int, error) {
	for end := time.Now().Add(doorPatience); ; time.Sleep(time.Millisecond) {
		var shut error // why the last one did not let us in
		for i := int64(1); i <= owner.Max; i++ {
			at, n, err := sys.FirstHeld(fd, labelLocks+i, owner.Max+1-i)
			if err != nil {
				return -1, err
			}
			if n != 1 {
				break
			}
			i = at - labelLocks
			mem, err := openDoor(fd, h, int(i))
			if err == nil {
				return mem, nil
			}
			shut = err
		}
		if shut == nil {
			return -1, errDeadName
		}
		// A process that is about to end lets nobody in, and holds its byte for some time still.
		if time.Now().After(end) {
			return -1, fmt.Errorf("a process has it open, and its memory cannot be reached: %v", shut) // nothing that errors.Is would take for another trouble
		}
	}
}

// doorPatience is how long the memory of an ending process may take to go.
const doorPatience = 2 * time.Second

func openDoor(fd int, h labelHead, number int) (int, error) {
	var d door
	if n, err := sys.ReadUpTo(fd, layout.View(&d), doorOff(number)); err != nil || n < doorSize {
		return -1, fmt.Errorf("%w: no door of participant %d (%w)", ErrCorrupt, number, err)
	}
	mem, err := sys.OpenFDOf(int(d.pid), int(d.fd), os.O_RDWR)
	if err != nil {
		return -1, fmt.Errorf("descriptor %d of process %d: %w", d.fd, d.pid, err)
	}
	if id, err := peekID(mem); err != nil || id != h.id {
		sys.CloseFD(mem)
		return -1, fmt.Errorf("descriptor %d of process %d is of something else (%w)", d.fd, d.pid, err)
	}
	return mem, nil
}

// peekID reads the id of the segment behind fd, which is memory that cannot shrink.
func peekID(fd int) (uint64, error) {
	if !sys.Sealed(fd) {
		return 0, fmt.Errorf("%w: no sealed memory", ErrForeign)
	}
	var b [unsafe.Offsetof(header{}.id) + 8]byte
	n, err := sys.ReadUpTo(fd, b[:], 0)
	if err == nil && (n < len(b) || binary.NativeEndian.Uint64(b[:]) != magic) {
		err = ErrForeign
	}
	return binary.NativeEndian.Uint64(b[unsafe.Offsetof(header{}.id):]), err
}
