package multiproc

import (
	"fmt"

	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/internal/sharer"
	"github.com/fb2d3dbd/multiproc/shm"
)

// object is what every handle is made of: an object in a segment's arena.
type object struct {
	seg *shm.Segment
	ref shm.Ref
}

// allocate takes size bytes from the segment that this process shares with its descendants, for an object that complete makes one: if the process dies
// in between, nothing is left of it.
func allocate(kind shm.Kind, size int) (object, []byte, error) {
	seg, err := shm.Default()
	if err != nil {
		return object{}, nil, err
	}
	ref, err := seg.Reserve(kind, size)
	if err != nil {
		return object{}, nil, err
	}
	mem, err := seg.At(ref, kind)
	return object{seg, ref}, mem, err
}

// complete ends the making of an object, successful or not.
func (o *object) complete(err error) error {
	if err == nil {
		return o.seg.Publish(o.ref)
	}
	_ = o.seg.Free(o.ref)
	return err
}

// resolve finds the object whose handle b is.
func resolve(b []byte, kind shm.Kind) (object, []byte, error) {
	var ref shm.Ref
	if err := ref.UnmarshalBinary(b); err != nil {
		return object{}, nil, err
	}
	seg, mem, err := shm.Resolve(ref, kind)
	return object{seg, ref}, mem, err
}

// handle returns what another process that has the segment open needs to use the same object.
func (o *object) handle() ([]byte, error) {
	if o.seg == nil {
		return nil, fmt.Errorf("multiproc: the zero value of a handle cannot be sent: make the object with its New function")
	}
	if o.seg.Self() == 0 {
		return nil, ErrClosed
	}
	return o.ref.MarshalBinary()
}

func (o *object) free() error {
	if o.seg == nil {
		return nil
	}
	return o.seg.Free(o.ref)
}

// holder describes the process that a token is of.
func (o *object) holder(token uint32, held bool) (p shm.Participant, ok bool) {
	if !held {
		return shm.Participant{}, false
	}
	return o.seg.Participant(token)
}

// holders describes the processes that the tokens are of; those who have left since are not among them.
func (o *object) holders(tokens map[uint32]int) []shm.Participant {
	var all []shm.Participant
	for token := range tokens {
		if p, ok := o.seg.Participant(token); ok {
			all = append(all, p)
		}
	}
	return all
}

// encodeIn appends *v, encoded for those who have the segment open: a handle of an object in another is an error. Whoever sends the message ends files then, which
// collects the open files in it.
func encodeIn[T any](seg *shm.Segment, dst []byte, v *T, files *sharer.Out) ([]byte, error) {
	var foreign error
	b, err := codec.AppendWith(dst, v, func(h any) {
		if s, ok := h.(interface{ Segment() *shm.Segment }); ok && s.Segment() != nil && s.Segment().ID() != seg.ID() {
			foreign = fmt.Errorf("multiproc: the %T stands in segment %#x, which whoever receives it may not have open: pass it in the arguments of Start, or send it over a connection", h, s.Segment().ID())
		}
	}, files)
	if err == nil {
		err = foreign
	}
	if err != nil {
		files.End(false)
	}
	return b, err
}
