package pool

import (
	"encoding/binary"
	"fmt"
)

// A chunk, as it lies in the queue of tasks:
//
//	0   number of tasks
//	8   deadline, unix nanoseconds, or 0
//	16  time-out of a task, nanoseconds, or 0
//	24  for each task: slot 4, sequence 4, length 8
//	    the arguments, one after the other
const (
	chunkHead  = 24
	chunkEntry = 16
)

type chunkHeader struct {
	tasks    int
	deadline int64
	timeout  int64
}

func putChunkHead(b []byte, h chunkHeader) {
	binary.LittleEndian.PutUint64(b, uint64(h.tasks))
	binary.LittleEndian.PutUint64(b[8:], uint64(h.deadline))
	binary.LittleEndian.PutUint64(b[16:], uint64(h.timeout))
}

func putChunkEntry(b []byte, i int, slot, seq uint32, length int) {
	e := b[chunkHead+i*chunkEntry:]
	binary.LittleEndian.PutUint32(e, slot)
	binary.LittleEndian.PutUint32(e[4:], seq)
	binary.LittleEndian.PutUint64(e[8:], uint64(length))
}

// chunkOf reads the head of a chunk. Everything that is read of it is read once, into a local, and then checked.
func chunkOf(b []byte) (h chunkHeader, rest []byte, err error) {
	if len(b) < chunkHead {
		return h, nil, fmt.Errorf("pool: %w: a chunk of %d bytes", ErrCorrupt, len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	h.deadline = int64(binary.LittleEndian.Uint64(b[8:]))
	h.timeout = int64(binary.LittleEndian.Uint64(b[16:]))
	if n > uint64(len(b)-chunkHead)/chunkEntry {
		return h, nil, fmt.Errorf("pool: %w: %d tasks in a chunk of %d bytes", ErrCorrupt, n, len(b))
	}
	h.tasks = int(n)
	return h, b[chunkHead+h.tasks*chunkEntry:], nil
}

// chunkTask reads entry i and cuts its argument off rest.
func chunkTask(b []byte, i int, rest []byte) (slot, seq uint32, arg, left []byte, err error) {
	e := b[chunkHead+i*chunkEntry:]
	slot, seq = binary.LittleEndian.Uint32(e), binary.LittleEndian.Uint32(e[4:])
	n := binary.LittleEndian.Uint64(e[8:])
	if n > uint64(len(rest)) {
		return 0, 0, nil, nil, fmt.Errorf("pool: %w: an argument of %d bytes, %d are there", ErrCorrupt, n, len(rest))
	}
	return slot, seq, rest[:n:n], rest[n:], nil
}

// A result, as it lies in the queue of results:
//
//	0   slot 4, sequence 4
//	8   kind 1, 0, worker 2, tasks whose cost follows 4
//	16  their cost together, nanoseconds
//	24  the value, or a failure
const resultHead = 24

type resultHeader struct {
	slot, seq uint32
	kind      byte
	worker    uint16
	measured  uint32
	cost      uint64
}

// Kinds of results.
const (
	isValue   = iota
	isFailure // a remoteFailure
	isUnsent  // text: the result could not be encoded, or was too large
	isUnread  // text: the argument could not be decoded
	isDeath   // from the parent itself: the worker is dead, and this is behind everything that it has put
)

func putResult(b []byte, h *resultHeader) {
	binary.LittleEndian.PutUint32(b, h.slot)
	binary.LittleEndian.PutUint32(b[4:], h.seq)
	b[8], b[9] = h.kind, 0
	binary.LittleEndian.PutUint16(b[10:], h.worker)
	binary.LittleEndian.PutUint32(b[12:], h.measured)
	binary.LittleEndian.PutUint64(b[16:], h.cost)
}

func resultOf(b []byte) (h resultHeader, value []byte, err error) {
	if len(b) < resultHead {
		return h, nil, fmt.Errorf("pool: %w: a result of %d bytes", ErrCorrupt, len(b))
	}
	h = resultHeader{
		slot: binary.LittleEndian.Uint32(b), seq: binary.LittleEndian.Uint32(b[4:]), kind: b[8],
		worker: binary.LittleEndian.Uint16(b[10:]), measured: binary.LittleEndian.Uint32(b[12:]), cost: binary.LittleEndian.Uint64(b[16:]),
	}
	return h, b[resultHead:len(b):len(b)], nil
}
