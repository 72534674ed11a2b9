package shm

import (
	"encoding/binary"
	"fmt"
)

// MarshalBinary returns the segment's id. A child that is started with a segment among its arguments has it open.
func (s *Segment) MarshalBinary() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return binary.LittleEndian.AppendUint64(nil, s.id), nil
}

// UnmarshalBinary opens the segment whose id b is once more, for a process that has it open already: s is a participant
// of its own, to be closed by whoever got it. Call it on a zero Segment only.
func (s *Segment) UnmarshalBinary(b []byte) error {
	if len(b) != 8 {
		return fmt.Errorf("shm: a segment's handle has 8 bytes, not %d", len(b))
	}
	if s.mem != nil {
		return fmt.Errorf("shm: UnmarshalBinary of a segment that is open already")
	}
	have, err := Lookup(binary.LittleEndian.Uint64(b))
	if err != nil {
		return err
	}
	fd, err := have.Export()
	if err != nil {
		return err
	}
	if err := s.open(fd, have.name); err != nil {
		return err
	}
	s.relabel()
	return nil
}
