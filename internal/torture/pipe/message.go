package pipe

import (
	"encoding/binary"
	"fmt"
)

// Everything about a message follows from its id and the end that sent it: its length, and every byte.

// sizes are the messages of a pipe: most stand in their slot, some in the arena of the queue, a few get a block of their own.
type sizes struct {
	Inline int // the largest that fits into a slot
	Arena  int // the largest that stands in the arena
	Block  int // the largest of all
}

const idSize = 8

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (s sizes) large(id uint64) bool { return mix(id)&7 < 3 }

func (s sizes) length(id uint64) int {
	h := mix(id) >> 8
	between := func(low, high int) int { return low + int(h%uint64(high-low+1)) }
	switch mix(id) & 7 {
	case 0:
		return between(s.Arena+1, s.Block)
	case 1, 2:
		return between(s.Inline+1, min(s.Arena, 12*s.Inline))
	}
	return between(idSize, s.Inline)
}

// write writes message id of an end into buf, which has its length.
func (s sizes) write(buf []byte, id uint64, end int) {
	binary.LittleEndian.PutUint64(buf, id)
	rest := buf[idSize:]
	var word [8]byte
	for i := 0; i < len(rest); i += 8 {
		binary.LittleEndian.PutUint64(word[:], mix(id^uint64(end+1)<<60^uint64(i)<<32))
		copy(rest[i:], word[:])
	}
}

func (s sizes) make(id uint64, end int) []byte {
	buf := make([]byte, s.length(id))
	s.write(buf, id, end)
	return buf
}

// check returns the id of a message that an end has sent, and what is wrong with it.
func (s sizes) check(msg []byte, end int) (uint64, error) {
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
		binary.LittleEndian.PutUint64(word[:], mix(id^uint64(end+1)<<60^uint64(i)<<32))
		if k := min(8, len(rest)-i); string(rest[i:i+k]) != string(word[:k]) {
			return id, fmt.Errorf("message %d of %d bytes, of end %d, is torn, or of the other end, at byte %d", id, len(msg), end, idSize+i)
		}
	}
	return id, nil
}
