package futex

import (
	"fmt"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/layout"
)

// An object is the memory of a lock that begins with a head: places in a row behind a fixed front.
//
//	0      head: magic, version, size
//	32     places:32
//	36..   words of the kind's own
//	front  places, each of `place` bytes
type object struct {
	what   string
	magic  uint64
	front  int
	place  int
	limit  int // places at most
	mem    []byte
	places int
}

const placesOff = layout.HeadSize

func (o *object) size(places int) int {
	if places < 1 || places > o.limit {
		return 0
	}
	return o.front + places*o.place
}

func (o *object) check(mem []byte, need int) error {
	if len(mem) < need {
		return fmt.Errorf("futex: %s: the memory has %d bytes, need %d", o.what, len(mem), need)
	}
	if uintptr(unsafe.Pointer(unsafe.SliceData(mem)))&7 != 0 {
		return fmt.Errorf("futex: %s: the memory must begin at a multiple of 8 bytes", o.what)
	}
	return nil
}

// create clears mem and lays the object out; publish makes it one.
func (o object) create(mem []byte, places int) (*object, error) {
	size := o.size(places)
	if size == 0 {
		return nil, fmt.Errorf("futex: %s: %d places; it can have 1 to %d", o.what, places, o.limit)
	}
	if err := o.check(mem, size); err != nil {
		return nil, err
	}
	o.mem, o.places = mem[:size:size], places
	clear(o.mem)
	*o.word32(placesOff) = uint32(places)
	return &o, nil
}

func (o *object) publish() {
	(*layout.Head)(unsafe.Pointer(unsafe.SliceData(o.mem))).Publish(o.magic, uint64(len(o.mem)))
}

// open checks that mem begins with such an object.
func (o object) open(mem []byte) (*object, error) {
	if err := o.check(mem, o.front); err != nil {
		return nil, err
	}
	size, err := (*layout.Head)(unsafe.Pointer(unsafe.SliceData(mem))).Check(o.magic, uint64(len(mem)))
	if err != nil {
		return nil, fmt.Errorf("futex: %s: %w", o.what, err)
	}
	o.mem = mem
	places := int(*o.word32(placesOff))
	if o.size(places) == 0 || uint64(o.size(places)) != size {
		return nil, fmt.Errorf("futex: %s: %w: %d places in %d bytes", o.what, ErrCorrupt, places, size)
	}
	o.mem, o.places = mem[:size:size], places
	return &o, nil
}

func (o *object) word32(off int) *uint32 { return (*uint32)(unsafe.Pointer(&o.mem[off])) }

func (o *object) word64(off int) *uint64 { return (*uint64)(unsafe.Pointer(&o.mem[off])) }

// at returns the first word of a place.
func (o *object) at(i int) *uint64 { return o.word64(o.front + i*o.place) }

// eventAt returns the word behind the first one of a place.
func (o *object) eventAt(i int) []byte { return o.mem[o.front+i*o.place+8:][:4:4] }

func (o *object) corrupt(w uint64) error {
	return fmt.Errorf("futex: %s: %w: a word is %#x", o.what, ErrCorrupt, w)
}
