package manager

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/fb2d3dbd/multiproc/shm"
)

// segmentEntity is memory that the server keeps open, or whose name it will take away.
type segmentEntity struct {
	s    *Server
	name string
	id   uint64 // of a segment
	end  func() error
	once sync.Once
}

func init() {
	slow[kindSegment] = true // large memory takes its time
	makers[kindSegment] = func(_ context.Context, s *Server, form string, r *reader) (entity, error) {
		switch form {
		case formSegment:
			return newSegment(s, r)
		case formBlock:
			size := r.int()
			if err := r.err(); err != nil {
				return nil, err
			}
			m, err := shm.CreateSharedMemory(namesOf(s.id)+fresh(), size)
			if err != nil {
				return nil, memoryError(err)
			}
			return s.block(m), nil
		case formList:
			var items []any
			data := r.bytes()
			if err := r.err(); err != nil {
				return nil, err
			}
			if err := decode(data, &items); err != nil {
				return nil, err
			}
			l, err := shm.CreateShareableList(namesOf(s.id)+fresh(), items...)
			if err != nil {
				return nil, memoryError(err)
			}
			return s.block(l.Shared()), nil
		}
		return nil, refuse(ErrUnknown, "%s", describe(kindSegment, form))
	}
}

// memoryError makes what is no error of any other kind one of what was asked for.
func memoryError(err error) error {
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, shm.ErrNoMemory) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrValue, err)
}

// fresh is a name that nobody has.
func fresh() string {
	var b [6]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func newSegment(s *Server, r *reader) (entity, error) {
	var o shm.Options
	data := r.bytes()
	if err := r.err(); err != nil {
		return nil, err
	}
	if err := decode(data, &o); err != nil {
		return nil, err
	}
	if o.Keep {
		return nil, refuse(ErrValue, "a segment of a manager ends with it: Options.Keep is not for it")
	}
	seg, err := shm.Create(fmt.Sprintf("manager-%016x-%s", s.id, fresh()), &o)
	if err != nil {
		return nil, memoryError(err)
	}
	return &segmentEntity{s: s, name: seg.Name(), id: seg.ID(), end: seg.Close}, nil
}

func (s *Server) block(m *shm.SharedMemory) *segmentEntity {
	return &segmentEntity{s: s, name: m.Name(), end: func() error { return errors.Join(m.Unlink(), m.Close()) }}
}

func (e *segmentEntity) do(c *call, r *reader, b []byte) ([]byte, error) {
	if c.op != opGet {
		return nil, refuse(ErrProtocol, "operation %d of a %v", c.op, c.obj.kind)
	}
	return appendUint64(appendString(b, e.name), e.id), r.err()
}

func (e *segmentEntity) drop() []uint64 {
	e.once.Do(func() { e.s.closing("the memory "+e.name, e.end) })
	return nil
}
