// Package ringbuf has message queues on memory that the caller brings: a segment that processes share (package shm makes
// them), or a plain slice between goroutines.
//
// An [SPSC] is a ring for one producer and one consumer; an [MPMC] is for many of each, with acknowledgement; a pipe joins two ends, each a
// [PipeEnd] that any number of processes may have. Of each one process calls Create, on memory of the size that SPSCSize, MPMCSize or PipeSize tells, and the
// others Open. Messages are byte strings. All keep their state in the memory alone and change it by single steps that commit: a process may be killed at any
// instruction, and whoever comes after it finds every message whose Put returned, whole and once.
//
// What is read from the memory is checked before it is used. Somebody who writes over it can make calls fail with
// ErrCorrupt or hand on wrong bytes, and never makes them panic or hang.
package ringbuf

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/cpu"
	"github.com/fb2d3dbd/multiproc/internal/layout"
)

// Errors of this package. They are matched with errors.Is.
var (
	// ErrFull says that a try found no room.
	ErrFull = layout.ErrFull
	// ErrEmpty says that a try found no message.
	ErrEmpty = layout.ErrEmpty
	// ErrClosed says that the other side has closed the ring and, to a consumer, that every message was taken; or that the
	// ring or its memory was closed here. It matches os.ErrClosed.
	ErrClosed = layout.ErrClosed
	// ErrPeerDied says that the process on the other side is dead and, to a consumer, that every message was taken; in a queue of many, that
	// all of them are dead or have said that they are done. The ring is whole: another process can take the role.
	ErrPeerDied = errors.New("ringbuf: nobody is left on the other side")
	// ErrRoleTaken says that a living process has the role already, or one that has just ended and whose death is not proven
	// yet: it may come for moments after the process was waited for, while somebody reads its files under /proc. Ask again.
	ErrRoleTaken = errors.New("ringbuf: the role is taken")
	// ErrTooLarge says that a message can never fit.
	ErrTooLarge = layout.ErrTooLarge
	// ErrForeign says that the memory holds no ring, or one of another version or kind of machine.
	ErrForeign = layout.ErrForeign
	// ErrCorrupt says that what stands in the memory cannot be.
	ErrCorrupt = layout.ErrCorrupt
)

// local is who shares the memory where the options do not say it.
func local(who futex.Participants) futex.Participants {
	if who == nil {
		return futex.Local{}
	}
	return who
}

const (
	// MinCapacity is the least capacity of a ring in bytes.
	MinCapacity = 64
	maxCapacity = 1 << (30 + 10*(bits.UintSize/64)) // 1 GiB, or 1 TiB with 64-bit words

	recordHead = 8 // the length in front of each message
)

// capacity rounds n up to a power of two.
func capacityFor(n int) (int, error) {
	if n < 1 || n > maxCapacity {
		return 0, fmt.Errorf("ringbuf: a capacity of %d bytes; it must be from 1 to %d", n, maxCapacity)
	}
	return max(MinCapacity, 1<<bits.Len(uint(n-1))), nil
}

// recordSize is what a message of n bytes takes of the capacity.
func recordSize(n int) uint64 { return recordHead + (uint64(n)+7)&^7 }

// MessageSize returns what a message of n bytes takes of a ring's capacity, in bytes.
func MessageSize(n int) int { return int(recordSize(n)) }

// appendMessage appends a message that stands in shared memory to buf.
func appendMessage(buf, msg []byte) []byte {
	old, n := len(buf), len(msg)
	if n > cap(buf)-old {
		return append(buf, msg...)
	}
	cpu.Copy(buf[old:old+n], msg)
	return buf[:old+n]
}
