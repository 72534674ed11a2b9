package conn

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// A packet begins with a head of headSize bytes:
//
//	0  packetMagic
//	1  packetVersion
//	2  flags
//	3  0
//	4  the number of descriptors that the whole message has, a blob and a carrier not counted: 4 bytes, little endian
//
// Behind it stands the message, or, with flagBlob, its length in 8 bytes; the message is then the content of the sealed file that is the first
// descriptor of the packet.
const (
	packetMagic   = 0x6d
	packetVersion = 1
	headSize      = 8

	flagBlob    = 1 << 0 // the message stands in a sealed file
	flagHandles = 1 << 1 // the message has a list of handles before the value
	flagCarrier = 1 << 2 // the descriptors are in a socket of their own, the last descriptor of the packet

	// inlineMax is the most bytes of a message that a packet carries itself; it fits into every socket's default buffer.
	inlineMax = 64 << 10
)

// An outgoing message. Its parts are sent one after the other as one message.
type outgoing struct {
	parts  [2][]byte
	rights []int // descriptors that go along; they stay the caller's
}

func (m *outgoing) size() int { return len(m.parts[0]) + len(m.parts[1]) }

// An incoming message.
type incoming struct {
	body   []byte
	spill  *[]byte // what body stands in, if that is to be given back
	rights []int
	listed bool // the body begins with a list of handles
}

// free gives the memory of the body back.
func (m *incoming) free() {
	if m.spill != nil {
		spills.Put(m.spill)
		m.spill, m.body = nil, nil
	}
}

// discard gives the memory back and closes the descriptors.
func (m *incoming) discard() {
	sys.CloseRights(m.rights)
	m.rights = nil
	m.free()
}

var (
	spills     = sync.Pool{New: func() any { b := make([]byte, inlineMax); return &b }}
	rightsRoom = sync.Pool{New: func() any { b := make([]byte, sys.RightsRoom); return &b }}
	packetOps  = sync.Pool{New: func() any { return new(packetSend) }}
	packetGets = sync.Pool{New: func() any { return new(packetReceive) }}
)

// packetSend sends one message in one call of the kernel: it is sent or it is not.
type packetSend struct {
	head   [headSize + 8]byte
	parts  [3][]byte
	rights []int
	own    []int // descriptors made for the message
}

// prepare makes everything but the call.
func (o *packetSend) prepare(m *outgoing) error {
	o.head = [headSize + 8]byte{packetMagic, packetVersion}
	binary.LittleEndian.PutUint32(o.head[4:], uint32(len(m.rights)))
	o.rights = m.rights
	if len(m.rights) > 0 {
		o.head[2] |= flagHandles
		if len(m.rights) > maxDirect {
			carrier, err := fillCarrier(m.rights)
			if err != nil {
				return err
			}
			o.head[2] |= flagCarrier
			o.own = append(o.own, carrier)
			o.rights = o.own[len(o.own)-1:]
		}
	}
	n := m.size()
	if n <= inlineMax {
		o.parts = [3][]byte{o.head[:headSize], m.parts[0], m.parts[1]}
		return nil
	}
	return o.toBlob(m)
}

// toBlob puts the message into a sealed file.
func (o *packetSend) toBlob(m *outgoing) error {
	fault.Point("conn.packet.blob")
	blob, err := sys.Blob(m.parts[0], m.parts[1])
	if err != nil {
		return fmt.Errorf("conn: a message of %d bytes: %w", m.size(), err)
	}
	fault.Point("conn.packet.sealed")
	o.own = append(o.own, blob)
	o.rights = append([]int{blob}, o.rights...)
	o.head[2] |= flagBlob
	binary.LittleEndian.PutUint64(o.head[headSize:], uint64(m.size()))
	o.parts = [3][]byte{o.head[:]}
	return nil
}

func (o *packetSend) step(ch channel) error {
	fault.Point("conn.packet.send")
	_, err := ch.write(o.parts[:], o.rights)
	fault.Point("conn.packet.sent")
	return sending(err)
}

// release gives back what was made for the message; the kernel has its own copies.
func (o *packetSend) release() {
	sys.CloseRights(o.own)
	o.own = o.own[:0]
	o.parts, o.rights = [3][]byte{}, nil
	packetOps.Put(o)
}

// packetReceive receives one message.
type packetReceive struct {
	head  [headSize]byte
	room  []byte // where the message is wanted, if it fits
	limit int64
	parts [3][]byte
	m     incoming
}

func (o *packetReceive) step(ch channel) error {
	spill := spills.Get().(*[]byte)
	o.parts = [3][]byte{o.head[:], o.room, *spill}
	fault.Point("conn.packet.receive")
	r, err := ch.read(o.parts[:], true)
	if err == sys.ECONNRESET { // the peer closed with messages unread; what it sent before is still there, and then the end
		r, err = ch.read(o.parts[:], true)
	}
	if err != nil {
		spills.Put(spill)
		return err
	}
	fault.Point("conn.packet.received")
	err = o.open(&r, spill)
	if o.m.spill == nil {
		spills.Put(spill)
	}
	if err != nil {
		sys.CloseRights(r.Rights)
		o.m.free()
		o.m = incoming{}
	}
	return err
}

// open makes the message of what was received. On an error the descriptors that are still in r are the caller's to close.
func (o *packetReceive) open(r *sys.Received, spill *[]byte) error {
	n := r.N - headSize
	if n < 0 || o.head[0] != packetMagic || o.head[1] != packetVersion || r.Cut {
		return fmt.Errorf("%w: %d bytes that begin with %x", ErrProtocol, r.N, o.head[:min(r.N, headSize)])
	}
	if r.Lost {
		return fmt.Errorf("conn: a message is lost, for this process has no room for its descriptors: %w", errTooManyFiles)
	}
	flags, count := o.head[2], int(binary.LittleEndian.Uint32(o.head[4:]))
	if flags&flagBlob != 0 {
		if err := o.openBlob(r, spill, n); err != nil {
			return err
		}
	} else {
		if err := tooLong(int64(n), o.limit); err != nil {
			return err
		}
		if n <= len(o.room) {
			o.m.body = o.room[:n]
		} else if k := len(o.room); k > 0 {
			// The message is in two pieces.
			o.m.body = append(append(make([]byte, 0, n), o.room...), (*spill)[:n-k]...)
		} else {
			o.m.body, o.m.spill = (*spill)[:n], spill
		}
	}
	if err := openCarrier(r, flags&flagCarrier != 0, count); err != nil {
		return err
	}
	o.m.rights, o.m.listed = r.Rights, flags&flagHandles != 0
	if o.m.listed != (count > 0) {
		return fmt.Errorf("%w: a list of handles and %d descriptors", ErrProtocol, count)
	}
	return nil
}

// openBlob reads a message that stands in a file.
func (o *packetReceive) openBlob(r *sys.Received, spill *[]byte, n int) error {
	if n != 8 || len(r.Rights) == 0 {
		return fmt.Errorf("%w: %d bytes for the length of a message in one of %d descriptors", ErrProtocol, n, len(r.Rights))
	}
	var length [8]byte
	copy(length[copy(length[:], o.room):], *spill)
	size := binary.LittleEndian.Uint64(length[:])
	blob := r.Rights[0]
	have, ok := sys.BlobSize(blob)
	if !ok || uint64(have) != size {
		return fmt.Errorf("%w: a message of %d bytes in a file of %d that can change or has holes", ErrProtocol, size, have)
	}
	if err := tooLong(have, o.limit); err != nil {
		return err
	}
	if have != int64(int(have)) {
		return fmt.Errorf("conn: message %w: %d bytes do not fit into memory", ErrTooLarge, have)
	}
	if int64(len(o.room)) >= have {
		o.m.body = o.room[:have]
	} else {
		o.m.body = make([]byte, have)
	}
	if err := sys.ReadAt(blob, o.m.body, 0); err != nil {
		return fmt.Errorf("conn: %w", err)
	}
	sys.CloseRights(r.Rights[:1])
	r.Rights = r.Rights[1:]
	return nil
}

func tooLong(n, limit int64) error {
	if limit >= 0 && n > limit {
		return fmt.Errorf("conn: message %w: %d bytes, at most %d are accepted", ErrTooLarge, n, limit)
	}
	return nil
}
