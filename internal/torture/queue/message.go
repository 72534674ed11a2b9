package queue

import (
	"encoding/binary"
	"fmt"
)

// Everything about a message follows from its id: its length, and every byte.

// sizes are the messages of a queue: those that fit into a slot, and one in four a large one where there is room for such.
type sizes struct {
	Inline int // the largest that fits into a slot
	Large  int // the largest of all; Inline where there are no large ones
}

const idSize = 8

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (s sizes) large(id uint64) bool { return s.Large > s.Inline && mix(id)&3 == 0 }

func (s sizes) length(id uint64) int {
	h := mix(id) >> 8
	if s.large(id) {
		return s.Inline + 1 + int(h%uint64(s.Large-s.Inline))
	}
	return idSize + int(h%uint64(s.Inline-idSize+1))
}

// write writes message id into buf, which has its length.
func (s sizes) write(buf []byte, id uint64) {
	binary.LittleEndian.PutUint64(buf, id)
	rest := buf[idSize:]
	var word [8]byte
	for i := 0; i < len(rest); i += 8 {
		binary.LittleEndian.PutUint64(word[:], mix(id^uint64(i)<<32))
		copy(rest[i:], word[:])
	}
}

func (s sizes) make(id uint64) []byte {
	buf := make([]byte, s.length(id))
	s.write(buf, id)
	return buf
}

// check returns the id of a message and what is wrong with it.
func (s sizes) check(msg []byte) (uint64, error) {
	if len(msg) < idSize {
		return 0, fmt.Errorf("a message of %d bytes", len(msg))
	}
	id := binary.LittleEndian.Uint64(msg)
	if n := s.length(id); len(msg) != n {
		return id, fmt.Errorf("message %d has %d bytes instead of %d", id, len(msg), n)
	}
	rest := msg[idSize:]
	var word [8]byte
	for i := 0; i < len(rest); i += 8 {
		binary.LittleEndian.PutUint64(word[:], mix(id^uint64(i)<<32))
		if k := min(8, len(rest)-i); string(rest[i:i+k]) != string(word[:k]) {
			return id, fmt.Errorf("message %d of %d bytes is torn at byte %d", id, len(msg), idSize+i)
		}
	}
	return id, nil
}
