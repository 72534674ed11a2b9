package shm

import (
	"encoding/binary"
	"fmt"
)

// A Kind says what an object in an arena is, so that a handle to one thing is not taken for another.
type Kind uint16

// The kinds that this module uses. Programs that allocate objects of their own number them from KindUser.
const (
	KindValue Kind = iota + 1
	KindArray
	KindMutex
	KindQueue
	KindRWMutex
	KindRLock
	KindSemaphore
	KindBoundedSemaphore
	KindCond
	KindEvent
	KindBarrier
	KindMatrix
	KindStruct
	KindBlob
	KindPipe
	KindBlock

	KindUser Kind = 1 << 8
)

// A Ref names an object in a segment; it means the same in every process that has the segment open. The zero Ref names
// nothing.
type Ref struct {
	Segment    uint64 // the segment's ID
	Offset     uint64 // of the block, in the arena
	Size       uint64 // bytes asked for
	Generation uint32 // of the block: a freed block's has moved on
	Kind       Kind
}

const refSize = 32

// AppendBinary appends the Ref's 32 bytes to b.
func (r Ref) AppendBinary(b []byte) ([]byte, error) {
	b = binary.LittleEndian.AppendUint64(b, r.Segment)
	b = binary.LittleEndian.AppendUint64(b, r.Offset)
	b = binary.LittleEndian.AppendUint64(b, r.Size)
	b = binary.LittleEndian.AppendUint32(b, r.Generation)
	return binary.LittleEndian.AppendUint32(b, uint32(r.Kind)), nil
}

// MarshalBinary returns the Ref's 32 bytes.
func (r Ref) MarshalBinary() ([]byte, error) { return r.AppendBinary(nil) }

// UnmarshalBinary reads a Ref from its 32 bytes. What it names is checked when it is used.
func (r *Ref) UnmarshalBinary(b []byte) error {
	if len(b) != refSize {
		return fmt.Errorf("shm: a handle has %d bytes, not %d", refSize, len(b))
	}
	*r = Ref{
		Segment:    binary.LittleEndian.Uint64(b),
		Offset:     binary.LittleEndian.Uint64(b[8:]),
		Size:       binary.LittleEndian.Uint64(b[16:]),
		Generation: binary.LittleEndian.Uint32(b[24:]),
		Kind:       Kind(binary.LittleEndian.Uint32(b[28:])),
	}
	return nil
}
