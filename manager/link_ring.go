package manager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/race"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

// ringLink sends frames over two rings in a segment of their own, the first from the client to the server. Who writes into it harms this connection alone.
//
// The first byte of a frame is below firstMark. A frame that is too long for one message of a ring goes in parts, each behind a byte of its own, which says
// whether more follow.
type ringLink struct {
	seg  *shm.Segment
	out  *ringbuf.Producer
	in   *ringbuf.Consumer
	part int // the most bytes of a frame in one message

	buf     []byte // what recv has returned
	long    []byte // the parts that have come
	maximum int

	end sync.Once
}

const (
	firstMark = 0x80
	markMore  = 0xfe
	markLast  = 0xff

	ringBytes    = 64 << 10
	keptFrame    = 64 << 10 // a larger buffer is left to the garbage collector
	minRingBytes = 4 << 10
)

func ringSegmentSize(capacity int) int { return 2 * ringbuf.SPSCSize(capacity) }

// newRingSegment makes the memory of a link. A ring of capacity bytes goes each way.
func newRingSegment(capacity int) (*shm.Segment, error) {
	seg, err := shm.New(&shm.Options{Size: ringSegmentSize(capacity), Participants: 8})
	if err != nil {
		return nil, err
	}
	half := ringbuf.SPSCSize(capacity)
	for i := range 2 {
		if _, err := ringbuf.CreateSPSC(seg.Bytes()[i*half:(i+1)*half], &ringbuf.SPSCOptions{Participants: seg}); err != nil {
			_ = seg.Close()
			return nil, err
		}
	}
	return seg, nil
}

// openRing takes one side of the link in the segment, which it owns from then on, also when it fails.
func openRing(seg *shm.Segment, server bool, maximum int) (*ringLink, error) {
	l := &ringLink{seg: seg, maximum: maximum}
	half := seg.Size() / 2
	var rings [2]*ringbuf.SPSC
	for i := range rings {
		var err error
		if rings[i], err = ringbuf.OpenSPSC(seg.Bytes()[i*half:(i+1)*half], &ringbuf.SPSCOptions{Participants: seg}); err != nil {
			_ = seg.Close()
			return nil, fmt.Errorf("manager: the rings of a connection: %w", err)
		}
	}
	if server {
		rings[0], rings[1] = rings[1], rings[0]
	}
	l.part = rings[0].MaxMessage() / 2
	var err, err2 error
	l.out, err = rings[0].Producer()
	l.in, err2 = rings[1].Consumer()
	if err = errors.Join(err, err2); err != nil {
		_ = seg.Close()
		return nil, fmt.Errorf("manager: the rings of a connection: %w", err)
	}
	return l, nil
}

// edges tell the race detector that who sends a frame comes before who has received it, where both are in this process: it does not see into the rings.
var edges [64]byte

func (l *ringLink) edge() *byte { return &edges[uint64(l.seg.ID())%uint64(len(edges))] }

// before makes the edge. What the ring reads after it is a copy of the frame, which nobody writes to when the answer has come.
func (l *ringLink) before(frame []byte) []byte {
	if race.Enabled {
		frame = slices.Clone(frame)
	}
	race.Release(l.edge())
	return frame
}

func (l *ringLink) send(ctx context.Context, frame []byte) error {
	frame = l.before(frame)
	if len(frame) <= l.part {
		return unsure(l.told(l.out.Put(ctx, frame)))
	}
	if len(frame) > l.maximum {
		return refuse(ErrTooLarge, "a message of %d bytes; at most %d are allowed", len(frame), l.maximum)
	}
	for whole := len(frame); len(frame) > 0; {
		n, mark := min(len(frame), l.part), byte(markMore)
		if n == len(frame) {
			mark = markLast
		}
		room, err := l.out.Reserve(ctx, n+1)
		if err == nil {
			room[0] = mark
			copy(room[1:], frame[:n])
			if err = l.out.Commit(n + 1); mark == markLast {
				return unsure(l.told(err))
			}
		}
		if err != nil {
			if len(frame) < whole { // who waits for the rest must not take another frame for it
				err = fmt.Errorf("manager: a frame was cut: %v", err)
			}
			return l.told(err)
		}
		frame = frame[n:]
		fault.Point("manager.ring.part")
	}
	return nil
}

// unsure makes the error of a put that of a frame that may have been put before the ring was found to have ended.
func unsure(err error) error {
	if err == errDied {
		return errUnsure
	}
	return err
}

func (l *ringLink) trySend(frame []byte) (bool, error) {
	if len(frame) > l.part {
		return false, nil
	}
	frame = l.before(frame)
	err := l.out.TryPut(frame)
	if err == ringbuf.ErrFull {
		return false, nil
	}
	return err == nil, l.told(err)
}

func (l *ringLink) recv(ctx context.Context) ([]byte, error) {
	for {
		b, err := l.in.Get(ctx, l.buf[:0])
		if err != nil {
			return nil, l.told(err)
		}
		race.Acquire(l.edge())
		l.buf = b
		if len(b) == 0 {
			return nil, refuse(ErrProtocol, "an empty message")
		}
		switch {
		case b[0] < firstMark && l.long == nil:
			return b, nil
		case b[0] == markMore || b[0] == markLast:
			if len(l.long)+len(b)-1 > l.maximum {
				return nil, refuse(ErrTooLarge, "a message of more than %d bytes", l.maximum)
			}
			l.long = append(l.long, b[1:]...)
			if b[0] == markLast {
				whole := l.long
				l.long = nil
				return whole, nil
			}
		default:
			return nil, refuse(ErrProtocol, "a message that begins with %#x", b[0])
		}
	}
}

func (l *ringLink) told(err error) error {
	switch err {
	case ringbuf.ErrPeerDied:
		return errDied
	case ringbuf.ErrClosed:
		return errDied
	}
	return err
}

// close leaves the segment, which ends what is under way.
func (l *ringLink) close() { l.end.Do(func() { _ = l.seg.Close() }) }

func (l *ringLink) local() bool { return true }
