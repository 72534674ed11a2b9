package pool

import (
	"fmt"
	"reflect"

	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A View is an argument that is not copied in the worker: it lies in the pool's shared memory, and is valid until the function returns. As a result
// it is what []byte is.
type View []byte

// form is how a T travels.
type form int

const (
	formRaw   form = iota // its memory
	formView              // View
	formBytes             // []byte
	formText              // string
	formCodec             // encoded
)

func formOf[T any]() (form, error) {
	t := reflect.TypeFor[T]()
	switch any((*T)(nil)).(type) {
	case *View:
		return formView, nil
	case *[]byte:
		return formBytes, nil
	case *string:
		return formText, nil
	}
	if layout.PointerFree(t) == nil {
		return formRaw, nil
	}
	return formCodec, codec.Check(t)
}

// appendValue appends v to dst as it travels.
func appendValue[T any](f form, dst []byte, v *T) ([]byte, error) {
	switch f {
	case formRaw:
		return append(dst, layout.View(v)...), nil
	case formView:
		return append(dst, any(*v).(View)...), nil
	case formBytes:
		return append(dst, any(*v).([]byte)...), nil
	case formText:
		return append(dst, any(*v).(string)...), nil
	}
	var foreign error
	b, err := codec.Append(dst, v, func(h any) {
		s, ok := h.(interface{ Segment() *shm.Segment })
		if !ok || s.Segment() == nil {
			return
		}
		if d := shm.PeekDefault(); d == nil || d.ID() != s.Segment().ID() {
			foreign = fmt.Errorf("the %T stands in segment %#x, which the other side may not have open: pass it in the initializer's argument", h, s.Segment().ID())
		}
	})
	if err == nil {
		err = foreign
	}
	return b, err
}

// decodeValue makes a value of what appendValue made. keep says that b is the value's to keep.
func decodeValue[T any](f form, b []byte, v *T, keep bool) error {
	switch f {
	case formRaw:
		if dst := layout.View(v); len(b) != len(dst) || copy(dst, b) != len(dst) {
			return fmt.Errorf("%w: %d bytes for a %T", ErrCorrupt, len(b), *v)
		}
	case formView:
		*any(v).(*View) = b
	case formBytes:
		if !keep {
			b = append(make([]byte, 0, len(b)), b...)
		}
		*any(v).(*[]byte) = b
	case formText:
		*any(v).(*string) = string(b)
	default:
		return codec.Decode(b, v)
	}
	return nil
}

// roomFor returns how much a result takes in a chunk, with its length: of small ones several travel in one message. 0 means that none does.
func roomFor[T any](f form) int {
	if f != formRaw {
		return maxRoom / 2
	}
	if n := (int(reflect.TypeFor[T]().Size()) + 8) &^ 7; n <= maxRoom {
		return n
	}
	return 0
}
