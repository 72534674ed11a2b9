package shm

import (
	"fmt"
	"math/bits"
	"os"
	"time"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/owner"
)

// header stands at the beginning of a segment; docs/design/space.md draws the whole.
type header struct {
	head         layout.Head // byte 0
	id           uint64      // byte 32
	participants uint64      // byte 40
	user         uint64      // byte 48: size of the user's bytes
	arena        uint64      // byte 56: size of the arena
	created      int64       // byte 64: unix nanoseconds
	flags        uint64      // byte 72
	_            [48]byte
	bump         uint64          // byte 128: where nothing was ever allocated, and who has taken the last block before it
	free         [classes]uint64 // byte 136: per size class the head of its list of free blocks
	_            [40]byte
	name         [256]byte // byte 512: zeros behind it
}

// Flags of a segment.
const (
	flagKeep uint64 = 1 << iota // the memory is a file under the name
	flagHuge                    // huge pages are asked for
)

const (
	tableOff = 1024 // the participant table begins on the header's page: who makes a segment, or joins a small one, touches no other
	pageSize = 4096 // granularity of the parts, and at least as large as any header
	classes  = 42

	_ = -(unsafe.Offsetof(header{}.id) ^ layout.HeadSize)
	_ = -(unsafe.Offsetof(header{}.bump) ^ 128)
	_ = -(unsafe.Offsetof(header{}.free) ^ 136)
	_ = -(unsafe.Offsetof(header{}.created) ^ 64)
	_ = -(unsafe.Offsetof(header{}.name) ^ 512)
	_ = uint(tableOff - unsafe.Sizeof(header{}))
	_ = uint(pageSize - tableOff - 2*owner.RecordSize) // the cursor and the first participant
)

var magic = layout.Magic("MPSEGMNT")

// geometry says where the parts of a segment lie; all of it follows from three numbers.
type geometry struct {
	participants    int
	userOff, user   int
	arenaOff, arena int
	total           int
}

const maxPart = 1 << (30 + 17*(bits.UintSize/64)) // 1 GiB or 128 TiB: no sum of parts overflows

// maxArena is what the words of the arena have room for.
const maxArena = firstMask * minBlock

func newGeometry(participants, user, arena uint64) (geometry, error) {
	if participants < 1 || participants > owner.Max {
		return geometry{}, fmt.Errorf("shm: a segment has 1 to %d participants, not %d", owner.Max, participants)
	}
	if user > maxPart/4 || arena > min(maxPart/4, maxArena) {
		return geometry{}, fmt.Errorf("shm: a segment of %d + %d bytes is too large", user, arena)
	}
	// Parts begin at multiples of the kernel's page, so that memory can be given back by the page.
	page := max(os.Getpagesize(), pageSize)
	up := func(n int) int { return (n + page - 1) &^ (page - 1) }
	g := geometry{participants: int(participants), user: int(user), arena: int(arena)}
	g.userOff = up(tableOff + owner.TableSize(g.participants))
	g.arenaOff = g.userOff + up(g.user)
	g.total = g.arenaOff + up(g.arena)
	return g, nil
}

func (o *Options) geometry(defaultArena int) (geometry, error) {
	if o == nil {
		o = &Options{}
	}
	if o.Size < 0 || o.Arena < 0 || o.Participants < 0 {
		return geometry{}, fmt.Errorf("shm: negative Options: Size %d, Arena %d, Participants %d", o.Size, o.Arena, o.Participants)
	}
	n, arena := o.Participants, o.Arena
	if n == 0 {
		n = owner.Max
	}
	if o.Size == 0 && arena == 0 {
		arena = defaultArena
	}
	return newGeometry(uint64(n), uint64(o.Size), uint64(arena))
}

func headerOf(mem []byte) *header { return (*header)(unsafe.Pointer(unsafe.SliceData(mem))) }

// format writes the header of a new segment whose memory is zeros.
func format(mem []byte, g geometry, id uint64, name string, flags uint64) {
	h := headerOf(mem)
	h.created, h.flags = time.Now().UnixNano(), flags
	copy(h.name[:], name)
	h.id, h.participants, h.user, h.arena = id, uint64(g.participants), uint64(g.user), uint64(g.arena)
	h.head.Publish(magic, uint64(g.total))
}

// readGeometry checks the header in the first page of a file of size bytes. Every field is read once.
func readGeometry(first []byte, size uint64) (geometry, error) {
	h := headerOf(first)
	total, err := h.head.Check(magic, size)
	if err != nil {
		return geometry{}, err
	}
	g, err := newGeometry(h.participants, h.user, h.arena)
	if err != nil {
		return geometry{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if uint64(g.total) != total {
		return geometry{}, fmt.Errorf("%w: the parts add up to %d bytes, the head says %d", ErrCorrupt, g.total, total)
	}
	return g, nil
}
