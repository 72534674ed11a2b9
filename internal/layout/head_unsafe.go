// Package layout says what stands at the head of everything that processes share: who made it, in which version, for
// which machine. A mapping with a foreign or damaged head is refused by name before anything else is read from it.
package layout

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// Version is the version of every layout in this module; it changes with any of them.
const Version = 4

// HeadSize is the size of a [Head] in bytes.
const HeadSize = 32

// A Head stands first in a shared object.
//
//	byte 0   magic: what the object is
//	byte 8   version:16 | word bits:8 | byte order:8 | zero:32
//	byte 16  size of the object in bytes, head included
//	byte 24  check: the other three words, mixed
//
// The magic is stored last, by [Publish]: an object without it is not finished.
type Head struct {
	magic, signature, size, check uint64
}

const (
	_ = -(unsafe.Sizeof(Head{}) ^ HeadSize)
	_ = -(unsafe.Offsetof(Head{}.check) ^ 24)
)

func signature() uint64 {
	order := uint64(1)
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		order = 2
	}
	return Version | bits.UintSize<<16 | order<<24
}

func mix(magic, sig, size uint64) uint64 {
	h := magic ^ bits.RotateLeft64(sig*0x9E3779B97F4A7C15, 21) ^ bits.RotateLeft64(size*0xC2B2AE3D27D4EB4F, 43)
	h ^= h >> 29
	return h * 0x165667B19E3779F9
}

// Magic makes the magic number of a name of exactly eight bytes.
func Magic(name string) uint64 {
	if len(name) != 8 {
		panic("layout: a magic name has eight bytes: " + name)
	}
	return binary.LittleEndian.Uint64([]byte(name))
}

// Publish writes the head of an object of size bytes that is otherwise whole. The store of the magic pairs with the
// load in [Head.Check].
func (h *Head) Publish(magic, size uint64) {
	h.signature, h.size, h.check = signature(), size, mix(magic, signature(), size)
	atomic.StoreUint64(&h.magic, magic)
}

// Check returns the object's size if the head is that of a finished object with this magic that fits in avail bytes.
func (h *Head) Check(magic, avail uint64) (size uint64, err error) {
	got := atomic.LoadUint64(&h.magic)
	sig, size, check := atomic.LoadUint64(&h.signature), atomic.LoadUint64(&h.size), atomic.LoadUint64(&h.check)
	switch {
	case got != magic:
		return 0, fmt.Errorf("%w: the magic is %q, want %q", ErrForeign, printable(got), printable(magic))
	case sig != signature():
		return 0, fmt.Errorf("%w: its signature is %#x (version %d, %d-bit words), this program's is %#x (version %d): both sides must use the same version and kind of CPU",
			ErrForeign, sig, sig&0xFFFF, sig>>16&0xFF, signature(), Version)
	case check != mix(got, sig, size):
		return 0, fmt.Errorf("%w: the head's check sum does not match", ErrCorrupt)
	case size > avail:
		return 0, fmt.Errorf("%w: the head says %d bytes, there are %d", ErrCorrupt, size, avail)
	}
	return size, nil
}

func printable(v uint64) string {
	return string(binary.LittleEndian.AppendUint64(nil, v))
}
