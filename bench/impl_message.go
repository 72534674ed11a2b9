package bench

import (
	"encoding/binary"
	"errors"
)

// errTorn is returned when a message is not the one that was to come.
var errTorn = errors.New("a message is torn or out of order")

// stamp writes the message's number into its first and its last eight bytes.
func stamp(msg []byte, number int) {
	binary.LittleEndian.PutUint64(msg, uint64(number))
	binary.LittleEndian.PutUint64(msg[len(msg)-8:], uint64(number))
}

// numberOf returns the number of a message, or errTorn when its two ends disagree.
func numberOf(msg []byte) (uint64, error) {
	if len(msg) < 8 {
		return 0, errTorn
	}
	first, last := binary.LittleEndian.Uint64(msg), binary.LittleEndian.Uint64(msg[len(msg)-8:])
	if first != last {
		return 0, errTorn
	}
	return first, nil
}
