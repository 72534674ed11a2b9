package manager

import (
	"encoding/binary"
	"fmt"
)

// What a client sends:
//
//	1 byte   op
//	uvarint  number of the call; 0: it is not answered
//	uvarint  number of the object; 0: the server
//	         the operation's own
//
// and what the server answers:
//
//	1 byte   status
//	uvarint  number of the call
//	         the answer, or the error
//
// A value travels as the bytes that the client's codec made of it, together with the numbers of the objects whose proxies are in it, so that the server counts them and
// need not know its type:
//
//	uvarint  length
//	         the bytes
//	uvarint  number of objects, and for each
//	uvarint  its number
//	uvarint  the ticket of the proxy in the bytes, which is redeemed when the server has the value; 0: none
type op byte

const (
	opCancel op = iota + 1 // of the call whose number it has
	opConfirm
	opPing
	opBreak // the client gives the link up, not its session
	opBye
	opNew
	opAttach
	opRefer
	opDrop
	opPin
	opDelete
	opStats
	opResume // over a new link, before anything else: which calls have got no answer

	opGet op = iota + 20 // the operations of objects
	opSet
	opDelKey
	opPop
	opPopAny
	opLen
	opHas
	opClear
	opCompareAndSwap
	opUpdate
	opSwap
	opSetDefault
	opSetMany
	opGetMany
	opScan
	opInsert
	opAppend
	opReverse
	opSort
	opIndex
	opRemove
	opSlice
	opPut
	opDone
	opJoin
	opUnfinished
	opClose
	opLock
	opUnlock
	opConsistent
	opHeld
	opRelease
	opWait
	opNotify
	opIsSet
	opActed
	opAbort
	opReset
	opState
	opCall
	opMethods
	opApply
	opMap
)

type status byte

const (
	isDone    status = iota + 1
	isRefused        // an error of this package: its code and text
	isFailure        // an error or panic of a user's function: a failure.Record
	isAct            // a barrier's last party is to act
	isSeen           // a cancelled call will be answered later: it waits for a lock that it must have
	isGoodbye        // the server ends
)

// begin begins a frame of a client's.
func begin(b []byte, what op, call, object uint64) []byte {
	return appendUint64(appendUint64(append(b, byte(what)), call), object)
}

func appendUint(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

func appendUint64(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

func appendBytes(b, data []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(data))), data...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// A value is encoded, with the objects that the proxies in it refer to.
type value struct {
	data    []byte
	refs    []uint64
	tickets []uint64 // one for each of refs, or none
}

func (v value) append(b []byte) []byte { return v.appendRefs(appendBytes(b, v.data)) }

func (v value) appendRefs(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(v.refs)))
	for i, r := range v.refs {
		b = binary.AppendUvarint(b, r)
		if v.tickets == nil {
			b = append(b, 0)
		} else {
			b = binary.AppendUvarint(b, v.tickets[i])
		}
	}
	return b
}

// A reader takes a frame apart. What is not there is zero, and said at the end by err.
type reader struct {
	b       []byte
	bad     bool
	tickets []uint64 // and their objects: those of the values that were read
}

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[size:]
	return n
}

// count is for what an answer says how many there are of.
func (r *reader) count() int { return int(r.uint()) }

// int is for lengths, indices and counts, which may be negative.
func (r *reader) int() int {
	n, size := binary.Varint(r.b)
	if size <= 0 || int64(int(n)) != n {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[size:]
	return int(n)
}

func appendInt(b []byte, n int) []byte { return binary.AppendVarint(b, int64(n)) }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) bool() bool { return r.byte() != 0 }

// bytes are the frame's own, and valid as long as it is.
func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	data := r.b[:n:n]
	r.b = r.b[n:]
	return data
}

func (r *reader) string() string { return string(r.bytes()) }

// value has the frame's own bytes, too. Its tickets are left with the reader.
func (r *reader) value() value {
	v := value{data: r.bytes()}
	n := r.uint()
	if n > uint64(len(r.b)/2) { // each takes two bytes at least
		r.b, r.bad = nil, true
		return value{}
	}
	if n > 0 {
		v.refs = make([]uint64, n)
		for i := range v.refs {
			v.refs[i] = r.uint()
			if ticket := r.uint(); ticket != 0 {
				r.tickets = append(r.tickets, ticket, v.refs[i])
			}
		}
	}
	return v
}

// values are a number of them.
func (r *reader) values() []value {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	all := make([]value, 0, min(n, 1<<16))
	for range n {
		if all = append(all, r.value()); r.bad {
			return nil
		}
	}
	return all
}

func appendValues(b []byte, all []value) []byte {
	b = appendUint(b, len(all))
	for _, v := range all {
		b = v.append(b)
	}
	return b
}

// err says whether the frame was what it should be.
func (r *reader) err() error {
	if r.bad || len(r.b) > 0 {
		return fmt.Errorf("%w: a frame of the wrong form", ErrProtocol)
	}
	return nil
}

// kept is a copy of a value of a frame's.
func (v value) kept() value {
	v.data, v.tickets = append(make([]byte, 0, len(v.data)), v.data...), nil
	return v
}
