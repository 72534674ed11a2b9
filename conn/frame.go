package conn

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A frame is a message as CPython's multiprocessing.connection writes it to a stream: its length as a signed 32-bit number in network order, or
// -1 and then the length as an unsigned 64-bit number, and the bytes.
const (
	shortHead = 4
	longHead  = 12
	maxShort  = math.MaxInt32
)

// appendHead appends the head of a frame of n bytes.
func appendHead(b []byte, n int) []byte {
	if n <= maxShort {
		return binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xff, 0xff, 0xff, 0xff), uint64(n))
}

// headLength says how many bytes the head has that begins with b, or 0 if b is too short to tell.
func headLength(b []byte) int {
	switch {
	case len(b) < shortHead:
		return 0
	case binary.BigEndian.Uint32(b) == 1<<32-1:
		return longHead
	default:
		return shortHead
	}
}

// parseHead returns the length of the frame whose whole head is b.
func parseHead(b []byte) (int, error) {
	n := uint64(binary.BigEndian.Uint32(b))
	if len(b) == longHead {
		n = binary.BigEndian.Uint64(b[shortHead:])
	} else if n > maxShort {
		return 0, fmt.Errorf("%w: a frame of negative length %d", ErrBroken, int32(n))
	}
	if n > math.MaxInt {
		return 0, fmt.Errorf("%w: a frame of %d bytes", ErrBroken, n)
	}
	return int(n), nil
}
