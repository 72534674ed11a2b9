// Package owner knows who takes part in a segment and who of them is dead.
//
// A participant is one process that has joined one segment. It has a record in the segment's table and holds the lock of one
// byte of the segment's file, through the very file description that the segment is mapped by: the mapping pins the lock,
// so a free byte proves that the participant's mapping is gone and nothing of it will write there again. There is no
// heartbeat, no trust in pids, and a stopped process is alive.
//
// What a participant writes into locks is its token, (epoch, number): the epoch counts those who had the number
// before it. A token whose epoch is past is dead without asking the kernel.
package owner

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

const (
	numberBits = 12
	epochBits  = 18

	// TokenBits is the width of a token; 0 is nobody's.
	TokenBits = numberBits + epochBits
	// Max is the most participants that a table can have.
	Max = 1<<numberBits - 2
	// RecordSize is the size of one participant's record in bytes.
	RecordSize = 64
	// lockBase is the file offset of the byte of participant 0; it is beyond any segment's end, which the kernel allows.
	lockBase = 1 << 40
	// claimBase is the offset of the byte that is held by who is about to join as participant 0, for that time.
	claimBase = 1 << 41
)

// record is what stands in the table for one participant.
//
// epoch, odd while the record has a holder, is the only word that anybody decides by; the others are for people, and pid and
// start for the hint of a death.
//
//	even  nobody's: whoever has the claim locks the byte, fills the record and stores epoch+1
//	odd   held by a participant, which stores epoch+1 when it leaves; after its death whoever has the claim does
type record struct {
	epoch  uint32
	pid    uint32
	start  uint64 // start time of the process, clock ticks since boot
	joined int64  // unix nanoseconds
	name   [32]byte
	_      [8]byte
}

// cursor stands in record 0, which is no participant's: where the next search for a free number begins. A number
// is used again as late as possible.
type cursor struct {
	next uint32
	_    [60]byte
}

const (
	_ = -(unsafe.Sizeof(record{}) ^ RecordSize)
	_ = -unsafe.Offsetof(record{}.epoch)
	_ = -(unsafe.Offsetof(record{}.name) ^ 24)
	_ = -(unsafe.Sizeof(cursor{}) ^ RecordSize)
)

// TableSize returns the bytes of a table for n participants.
func TableSize(n int) int { return (n + 1) * RecordSize }

// A Table is the participant table of one mapped segment, and one participant's view of it. A process may use it to look
// without joining.
type Table struct {
	mem   []byte
	n     int    // participants 1..n
	fd    int    // of the description that the segment is mapped by
	off   int64  // of the table in the file
	epoch uint32 // of the record that Join took, odd

	watches watches
}

// holder returns the process that wrote itself into the record of tok; ok is false when the record is another's by now.
func (t *Table) holder(tok uint32) (pid int, start uint64, ok bool) {
	i := number(tok)
	if i < 1 || i > t.n {
		return 0, 0, false
	}
	r := t.at(i)
	pid, start = int(atomic.LoadUint32(&r.pid)), atomic.LoadUint64(&r.start)
	e := atomic.LoadUint32(&r.epoch) // who fills the record has made it even before
	return pid, start, e&1 == 1 && token(i, e) == tok
}

// NewTable views mem, of TableSize(n) bytes, as a table; fd is the descriptor that the segment was mapped by, and off the table's
// offset in its file.
func NewTable(mem []byte, n, fd int, off int64) (*Table, error) {
	if n < 1 || n > Max {
		return nil, fmt.Errorf("a segment has 1 to %d participants, not %d", Max, n)
	}
	if len(mem) < TableSize(n) {
		return nil, fmt.Errorf("participant table: %d bytes, need %d", len(mem), TableSize(n))
	}
	return &Table{mem: mem, n: n, fd: fd, off: off}, nil
}

func (t *Table) at(i int) *record {
	return (*record)(unsafe.Pointer(&t.mem[i*RecordSize]))
}

func token(i int, epoch uint32) uint32 {
	return uint32(i) | (epoch>>1)&(1<<epochBits-1)<<numberBits
}

// Number returns the number of the participant that tok is of, from 1 to Max, if it is a token.
func Number(tok uint32) int { return number(tok) }

func number(tok uint32) int { return int(tok & (1<<numberBits - 1)) }

// TokenOf returns the token of the participant with this number, or of the last one that had it.
func (t *Table) TokenOf(i int) uint32 {
	if i < 1 || i > t.n {
		return 0
	}
	e := atomic.LoadUint32(&t.at(i).epoch)
	if e&1 == 0 {
		e-- // raised when the last holder left, or was found dead
	}
	return token(i, e)
}

// Leave gives up tok, the token of this table's Join. What it still owns is repaired as after a death, so the mapping must be gone:
// others take this participant for dead from here on, and nothing of it may write any more. The mark goes through the descriptor.
func (t *Table) Leave(tok uint32) error {
	i := number(tok)
	var even [4]byte
	binary.NativeEndian.PutUint32(even[:], t.epoch+1)
	// Readers may see it half written: any other number than the holder's epoch says that the holder is gone.
	err := sys.WriteAt(t.fd, even[:], t.off+int64(i)*RecordSize+int64(unsafe.Offsetof(record{}.epoch)))
	fault.Point("owner.leave.marked")
	if e := sys.UnlockByte(t.fd, lockBase+int64(i)); err == nil {
		err = e
	}
	return err
}

// Alive reports whether the participant with this token may still run; false is proven. Any number is safe to ask
// about: one that no participant can have is dead.
func (t *Table) Alive(tok uint32) bool {
	i := number(tok)
	if i < 1 || i > t.n {
		return false
	}
	// A holder locks its byte before it stores the odd epoch, so with the epoch read first, a free byte means that this
	// holder, and not a later one, is gone.
	e := atomic.LoadUint32(&t.at(i).epoch)
	if e&1 == 0 || token(i, e) != tok {
		return false
	}
	held, err := sys.ByteHeld(t.fd, lockBase+int64(i))
	return held || err != nil
}

// Info describes a participant to people.
type Info struct {
	Token  uint32
	PID    int
	Name   string
	Joined time.Time
}

// Info returns what the participant with this token wrote about itself; ok is false when the record is another's by now.
func (t *Table) Info(tok uint32) (info Info, ok bool) {
	i := number(tok)
	if i < 1 || i > t.n {
		return Info{}, false
	}
	r := t.at(i)
	name := r.name
	n := 0
	for n < len(name) && name[n] != 0 {
		n++
	}
	info = Info{Token: tok, PID: int(r.pid), Name: string(name[:n]), Joined: time.Unix(0, r.joined)}
	e := atomic.LoadUint32(&r.epoch)
	return info, e&1 == 1 && token(i, e) == tok
}

// All returns those who hold a record, the dead that nobody has buried yet included.
func (t *Table) All() []Info {
	var all []Info
	for i := 1; i <= t.n; i++ {
		if e := atomic.LoadUint32(&t.at(i).epoch); e&1 == 1 {
			if info, ok := t.Info(token(i, e)); ok {
				all = append(all, info)
			}
		}
	}
	return all
}
