package shm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/fault"
)

// ErrBusy says that a value was replaced again and again while it was read.
var ErrBusy = errors.New("the value changes faster than it can be read")

// A Blob is a number of bytes, of a length that changes up to a fixed one, in shared memory. Load returns what one Store has stored, whole: a writer
// that is killed in the middle has changed nothing, and one that is stopped there holds up other writers, and no reader.
//
// There are two versions of the bytes. A writer, under a lock, writes the one that is not valid, and one store of the version's number makes it so; a
// reader copies the valid one and looks afterwards if the number still is what it was: a writer begins with the version that a reader copies only
// after it has made the other valid.
//
//	0   the writers' lock (a futex.Mutex)
//	8   version: its lowest bit says which slot is valid
//	16  capacity
//	24  lengths of the two slots
//	64  slot 0, a multiple of 64 bytes, then slot 1
type Blob struct {
	seg   *Segment
	head  *cellHead
	slots [2][]uint64
	max   int
	lock  *futex.Mutex
	ref   Ref
}

type cellHead struct {
	lock     uint64 // a futex.Mutex
	version  uint64
	capacity uint64
	lengths  [2]uint64
	_        [24]byte
}

const (
	cellHeadSize = 64

	_ = -(unsafe.Sizeof(cellHead{}) ^ cellHeadSize)
	_ = -(unsafe.Offsetof(cellHead{}.version) ^ 8)
	_ = -(unsafe.Offsetof(cellHead{}.lengths) ^ 24)
)

func slotSize(capacity int) int { return (capacity + 63) &^ 63 }

// NewBlob allocates an empty value of up to capacity bytes in the segment's arena.
func NewBlob(s *Segment, capacity int) (*Blob, error) {
	if capacity < 1 || capacity > math.MaxInt32 {
		return nil, fmt.Errorf("shm: a value of up to %d bytes; the capacity must be from 1 to %d", capacity, math.MaxInt32)
	}
	ref, err := s.Reserve(KindBlob, cellHeadSize+2*slotSize(capacity))
	if err != nil {
		return nil, err
	}
	mem, err := s.at(ref, KindBlob)
	if err != nil {
		return nil, err
	}
	(*cellHead)(unsafe.Pointer(&mem[0])).capacity = uint64(capacity)
	if err := s.Publish(ref); err != nil {
		return nil, err
	}
	return OpenBlob(s, ref)
}

// OpenBlob views the object that ref names.
func OpenBlob(s *Segment, ref Ref) (*Blob, error) {
	mem, err := s.at(ref, KindBlob)
	if err != nil {
		return nil, err
	}
	if len(mem) < cellHeadSize {
		return nil, fmt.Errorf("shm: %w: a value in %d bytes", ErrCorrupt, len(mem))
	}
	b := &Blob{seg: s, head: (*cellHead)(unsafe.Pointer(&mem[0])), ref: ref}
	capacity := b.head.capacity
	if err := s.check(); err != nil {
		return nil, err
	}
	if capacity < 1 || capacity > math.MaxInt32 || cellHeadSize+2*slotSize(int(capacity)) != len(mem) {
		return nil, fmt.Errorf("shm: %w: a value of up to %d bytes in %d", ErrCorrupt, capacity, len(mem))
	}
	b.max = int(capacity)
	words := slotSize(b.max) / 8
	for i := range b.slots {
		b.slots[i] = unsafe.Slice((*uint64)(unsafe.Pointer(&mem[cellHeadSize+i*8*words])), words)
	}
	b.lock, err = futex.NewMutex(mem[:futex.MutexSize], s)
	return b, err
}

// Cap returns the most bytes that the value can have.
func (b *Blob) Cap() int { return b.max }

// Load returns the value, a copy that is the caller's.
func (b *Blob) Load() ([]byte, error) { return b.AppendTo(nil) }

// AppendTo appends the value to dst.
func (b *Blob) AppendTo(dst []byte) ([]byte, error) {
	for try := range 1 << 16 {
		v := atomic.LoadUint64(&b.head.version) // pairs with the store in Store: what was written before it is there
		n := atomic.LoadUint64(&b.head.lengths[v&1])
		bad := n > uint64(b.max)
		out := dst
		if !bad {
			out = appendWords(dst, b.slots[v&1], int(n))
		}
		same := atomic.LoadUint64(&b.head.version) == v
		if err := b.seg.check(); err != nil {
			return dst, err
		}
		if same && bad {
			return dst, fmt.Errorf("shm: %w: a value of %d bytes in the place of %d", ErrCorrupt, n, b.max)
		}
		if same {
			return out, nil
		}
		if try&15 == 15 {
			runtime.Gosched()
		}
	}
	return dst, ErrBusy
}

// appendWords copies by atomic loads: no load of the copy comes after the one of the version that follows, on any CPU.
func appendWords(dst []byte, from []uint64, n int) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, n)...)
	to := dst[at:]
	var i int
	for i = 0; 8*i+8 <= n; i++ {
		w := atomic.LoadUint64(&from[i])
		*(*[8]byte)(to[8*i:]) = *(*[8]byte)(unsafe.Pointer(&w))
	}
	if 8*i < n {
		w := atomic.LoadUint64(&from[i])
		copy(to[8*i:], (*[8]byte)(unsafe.Pointer(&w))[:])
	}
	return dst
}

// Store replaces the value. It waits for other writers until ctx ends, and takes over from one that has died. ErrTooLarge says that the value does not fit.
func (b *Blob) Store(ctx context.Context, value []byte) error {
	return b.update(ctx, func([]byte) ([]byte, error) { return value, nil })
}

// Update replaces the value by what fn makes of it, with no other writer in between. fn must not keep what it is given. An error of fn leaves the value as it is.
func (b *Blob) Update(ctx context.Context, fn func(old []byte) ([]byte, error)) error {
	return b.update(ctx, func(old []byte) ([]byte, error) {
		old, err := b.AppendTo(old)
		if err != nil {
			return nil, err
		}
		return fn(old)
	})
}

func (b *Blob) update(ctx context.Context, fn func(old []byte) ([]byte, error)) (err error) {
	switch err := b.lock.Lock(ctx); {
	case errors.Is(err, futex.ErrOwnerDied):
		if err := b.lock.MarkConsistent(); err != nil { // the dead writer has changed nothing that is valid
			return err
		}
	case err != nil:
		return err
	}
	defer func() { // also when fn panics
		if e := b.lock.Unlock(); err == nil {
			err = e
		}
	}()
	fault.Point("cell.locked")
	value, err := fn(nil)
	if err != nil {
		return err
	}
	if len(value) > b.max {
		return fmt.Errorf("shm: %w: %d bytes in the place of %d", ErrTooLarge, len(value), b.max)
	}
	v := atomic.LoadUint64(&b.head.version) + 1
	slot := b.slots[v&1]
	atomic.StoreUint64(&b.head.lengths[v&1], uint64(len(value)))
	fault.Point("cell.length")
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&slot[0])), b.max), value)
	fault.Point("cell.copied")
	atomic.StoreUint64(&b.head.version, v) // from here on the value is this one
	fault.Point("cell.stored")
	return b.seg.check()
}

// Ref returns the value's handle.
func (b *Blob) Ref() Ref { return b.ref }

// Segment returns the segment that the value stands in.
func (b *Blob) Segment() *Segment { return b.seg }

// MarshalBinary returns the value's handle.
func (b *Blob) MarshalBinary() ([]byte, error) { return marshalRef(b.seg, b.ref) }

// UnmarshalBinary opens the value whose handle data is.
func (b *Blob) UnmarshalBinary(data []byte) error {
	s, ref, err := unmarshalRef(data)
	if err != nil {
		return err
	}
	x, err := OpenBlob(s, ref)
	if err == nil {
		*b = *x
	}
	return err
}

// A Text is a [Blob] that holds a string.
type Text struct{ Blob }

// NewText allocates an empty string of up to capacity bytes in the segment's arena.
func NewText(s *Segment, capacity int) (*Text, error) {
	b, err := NewBlob(s, capacity)
	if err != nil {
		return nil, err
	}
	return &Text{*b}, nil
}

// OpenText views the string that ref names.
func OpenText(s *Segment, ref Ref) (*Text, error) {
	b, err := OpenBlob(s, ref)
	if err != nil {
		return nil, err
	}
	return &Text{*b}, nil
}

// Load returns the string.
func (t *Text) Load() (string, error) {
	b, err := t.Blob.Load()
	return string(b), err
}

// Store replaces the string, as [Blob.Store] does.
func (t *Text) Store(ctx context.Context, value string) error {
	return t.Blob.Store(ctx, unsafe.Slice(unsafe.StringData(value), len(value)))
}
