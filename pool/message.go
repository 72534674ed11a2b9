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
//	24  room for the result of each, in bytes, 4, and how many results are put at a time, 4
//	32  for each task: slot 4, sequence 4, length 8
//	    the arguments, one after the other
//	    the room: for each task the length of its result, 1, and the result, once its word is STORED
const (
	chunkHead  = 32
	chunkEntry = 16
)

type chunkHeader struct {
	tasks    int
	deadline int64
	timeout  int64
	room     int // 0, or up to 64
	batch    int
}

func putChunkHead(b []byte, h chunkHeader) {
	binary.LittleEndian.PutUint64(b, uint64(h.tasks))
	binary.LittleEndian.PutUint64(b[8:], uint64(h.deadline))
	binary.LittleEndian.PutUint64(b[16:], uint64(h.timeout))
	binary.LittleEndian.PutUint32(b[24:], uint32(h.room))
	binary.LittleEndian.PutUint32(b[28:], uint32(h.batch))
}

func putChunkEntry(b []byte, i int, slot, seq uint32, length int) {
	e := b[chunkHead+i*chunkEntry:]
	binary.LittleEndian.PutUint32(e, slot)
	binary.LittleEndian.PutUint32(e[4:], seq)
	binary.LittleEndian.PutUint64(e[8:], uint64(length))
}

// chunkOf reads the head of a chunk. Everything that is read of it is read once, into a local, and then checked.
func chunkOf(b []byte) (h chunkHeader, rest, room []byte, err error) {
	if len(b) < chunkHead {
		return h, nil, nil, fmt.Errorf("pool: %w: a chunk of %d bytes", ErrCorrupt, len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	h.deadline = int64(binary.LittleEndian.Uint64(b[8:]))
	h.timeout = int64(binary.LittleEndian.Uint64(b[16:]))
	if n > uint64(len(b)-chunkHead)/chunkEntry {
		return h, nil, nil, fmt.Errorf("pool: %w: %d tasks in a chunk of %d bytes", ErrCorrupt, n, len(b))
	}
	h.tasks = int(n)
	h.room, h.batch = int(binary.LittleEndian.Uint32(b[24:])), int(binary.LittleEndian.Uint32(b[28:]))
	rest = b[chunkHead+h.tasks*chunkEntry:]
	if h.room < 0 || h.room > maxRoom || h.room*h.tasks > len(rest) {
		return h, nil, nil, fmt.Errorf("pool: %w: room of %d bytes for %d results in a chunk of %d", ErrCorrupt, h.room, h.tasks, len(b))
	}
	at := len(rest) - h.room*h.tasks
	return h, rest[:at:at], rest[at:], nil
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
//
// A batch has the number of its results for a slot, and then for each: slot 4, sequence 4, length 1, value.
const (
	resultHead = 24
	batchEntry = 9
	maxRoom    = 64 // of a result that travels in a batch, and its length
)

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
	isFailure // a failure.Record
	isUnsent  // text: the result could not be encoded, or was too large
	isUnread  // text: the argument could not be decoded
	isBatch   // several values
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

// batchNext cuts the next result off a batch.
func batchNext(b []byte) (slot, seq uint32, value, rest []byte, ok bool) {
	if len(b) < batchEntry || int(b[8]) > len(b)-batchEntry {
		return 0, 0, nil, nil, false
	}
	end := batchEntry + int(b[8])
	return binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), b[batchEntry:end:end], b[end:], true
}

func appendBatch(b []byte, slot, seq uint32, value []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, slot)
	b = binary.LittleEndian.AppendUint32(b, seq)
	b = append(b, byte(len(value)))
	return append(b, value...)
}
