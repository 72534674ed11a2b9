package multiproc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/life"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// A PipeEnd is one end of a pipe between this process and those it has started. It may be part of the argument of a Start, and of messages. Its methods are those of a
// conn.Conn, and may be called from any number of goroutines at a time.
//
// Any number of processes may have the same end. A message goes whole to one of them, also when several send or receive at once and some are killed or stopped
// in the middle of it; one whose Send returned is received, whatever becomes of the sender.
//
// When every process that had an end has closed it or died, and none that was started with it is still on its way, the end is closed for good: at the other end what was sent is still received, and
// then comes io.EOF, and sends return [ErrPeerClosed]. So a parent closes its own handle of the end that it has given to a child. A handle that is garbage counts as
// closed. One that travels in a *message* is held by nobody on its way: its sender keeps the end open until it has arrived.
type PipeEnd struct {
	seg *shm.Segment
	ref shm.Ref
	n   int // 0 or 1
	e   *ringbuf.PipeEnd
}

// PipeOptions are for making a pipe. Nil and the zero value work.
type PipeOptions struct {
	// OneWay makes a pipe of one way: the first end only receives, the second only sends.
	OneWay bool
	// Messages is the most that wait in a direction; a Send then waits. 0 means 64.
	Capacity int
	// Bytes is the memory for messages of more than 224 bytes that wait in a direction; those of more than a quarter of it are kept elsewhere, at most four at a
	// time. 0 means 384 KiB.
	Bytes int
}

// Pipe makes a pipe and returns its ends. If duplex is false a can only receive and b only send.
func Pipe(duplex bool) (a, b *PipeEnd, err error) {
	return NewPipe(&PipeOptions{OneWay: !duplex})
}

// NewPipe makes a pipe and returns its ends.
func NewPipe(o *PipeOptions) (a, b *PipeEnd, err error) {
	if o == nil {
		o = &PipeOptions{}
	}
	po := ringbuf.PipeOptions{OneWay: o.OneWay, Capacity: o.Capacity, Bytes: o.Bytes}
	size, err := ringbuf.PipeSize(&po)
	if err != nil {
		return nil, nil, fmt.Errorf("multiproc: a pipe: %w", err)
	}
	seg, err := shm.Default()
	if err != nil {
		return nil, nil, err
	}
	setPipe(&po, seg)
	if a, b := formerPipes.remake(&po, seg, size); a != nil {
		return a, b, nil
	}
	obj, mem, err := allocate(shm.KindPipe, size)
	if err != nil {
		return nil, nil, err
	}
	setPipe(&po, obj.seg)
	po.Zeroed = true
	x, y, err := ringbuf.CreatePipe(mem, &po)
	if err = obj.complete(err); err != nil {
		return nil, nil, err
	}
	a, b = (&formerPipe{obj: obj}).ends(x, y)
	return a, b, nil
}

func setPipe(o *ringbuf.PipeOptions, seg *shm.Segment) {
	o.Participants, o.Blocks, o.Underway = seg, seg.Blocks(), spawn.Underway
}

func (p *PipeEnd) open(seg *shm.Segment, ref shm.Ref, n int, e *ringbuf.PipeEnd, made *formerPipe) {
	p.seg, p.ref, p.n, p.e = seg, ref, n, e
	openPipes.Store(e, made)
	runtime.AddCleanup(p, closePipe, e)
}

func closePipe(e *ringbuf.PipeEnd) {
	made, had := openPipes.LoadAndDelete(e)
	_ = e.Close() // it cannot fail
	if m, _ := made.(*formerPipe); had && m != nil && m.open.Add(-1) == 0 {
		formerPipes.add(m)
	}
}

// openPipes holds the handles that this process has not closed, *ringbuf.PipeEnd → *formerPipe, nil if the pipe is not of its making. The child of a fork has them too.
var openPipes sync.Map

func init() {
	life.OnFork(life.Objects, func() error {
		formerPipes.clear() // the pipes are the parent's to make anew
		var errs []error
		openPipes.Range(func(k, _ any) bool {
			openPipes.Store(k, (*formerPipe)(nil))
			if err := k.(*ringbuf.PipeEnd).Adopt(); err != nil && !errors.Is(err, ErrClosed) {
				errs = append(errs, err)
			}
			return true
		})
		return errors.Join(errs...)
	})
}

// Segment returns the shared memory that the pipe stands in.
func (p *PipeEnd) Segment() *shm.Segment { return p.seg }

// MarshalBinary returns the end's handle.
func (p *PipeEnd) MarshalBinary() ([]byte, error) {
	defer runtime.KeepAlive(p)
	if p.e == nil {
		return nil, fmt.Errorf("multiproc: the zero PipeEnd cannot be sent: make a pipe with Pipe")
	}
	if p.e.Closed() || p.seg.Self() == 0 {
		return nil, ErrClosed
	}
	b, err := p.ref.AppendBinary(nil)
	b = binary.LittleEndian.AppendUint32(b, p.e.Generation())
	return append(b, byte(p.n)), err
}

// UnmarshalBinary opens the end whose handle b is. ErrClosed says that all who had the end have closed it or died. A PipeEnd that is open is closed first.
func (p *PipeEnd) UnmarshalBinary(b []byte) error {
	const tail = 5
	if len(b) < tail || b[len(b)-1] > 1 {
		return fmt.Errorf("multiproc: %w: a pipe's handle of %d bytes", ErrCorrupt, len(b))
	}
	rest, n := b[len(b)-tail:], int(b[len(b)-1])
	o, mem, err := resolve(b[:len(b)-tail], shm.KindPipe)
	if err != nil {
		return err
	}
	po := ringbuf.PipeOptions{Generation: binary.LittleEndian.Uint32(rest)}
	setPipe(&po, o.seg)
	e, err := ringbuf.OpenPipe(mem, n, &po)
	if err != nil {
		return err
	}
	if p.e != nil {
		closePipe(p.e)
	}
	p.open(o.seg, o.ref, n, e, nil)
	return nil
}

// Readable reports whether the end can receive, Writable whether it can send.
func (p *PipeEnd) Readable() bool { return p.e != nil && p.e.CanGet() }

// Writable reports whether the end can send.
func (p *PipeEnd) Writable() bool { return p.e != nil && p.e.CanPut() }

// FD returns an error that matches errors.ErrUnsupported: what waits in a pipe of shared memory no descriptor tells. [Wait] waits for pipes and descriptors at once; conn.Pipe makes
// pipes that have one.
func (p *PipeEnd) FD() (int, error) {
	return -1, fmt.Errorf("multiproc: the descriptor of a pipe in shared memory: %w", errors.ErrUnsupported)
}

// Close closes this handle. Calls under way in other goroutines end with an error that matches os.ErrClosed. A second Close does nothing.
func (p *PipeEnd) Close() error {
	if p.e != nil {
		closePipe(p.e)
	}
	return nil
}

// SetDeadline sets the time from which sends and receives that wait return an error that matches os.ErrDeadlineExceeded, those under way included. The zero time
// means none.
func (p *PipeEnd) SetDeadline(t time.Time) error {
	var errs [2]error
	if p.Readable() {
		errs[0] = p.SetReadDeadline(t)
	}
	if p.Writable() {
		errs[1] = p.SetWriteDeadline(t)
	}
	return errors.Join(errs[:]...)
}

// SetReadDeadline is SetDeadline for receives and polls alone.
func (p *PipeEnd) SetReadDeadline(t time.Time) error {
	e, err := p.ring()
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(p)
	return e.SetGetDeadline(t)
}

// SetWriteDeadline is SetDeadline for sends alone.
func (p *PipeEnd) SetWriteDeadline(t time.Time) error {
	e, err := p.ring()
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(p)
	return e.SetPutDeadline(t)
}

func (p *PipeEnd) ring() (*ringbuf.PipeEnd, error) {
	if p.e == nil {
		return nil, fmt.Errorf("multiproc: the zero PipeEnd: %w", ErrClosed)
	}
	return p.e, nil
}
