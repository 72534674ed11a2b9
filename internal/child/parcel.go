package child

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/sys"
	"github.com/fb2d3dbd/multiproc/shm"
)

// Options for a new process. Nil and the zero value work.
type Options struct {
	// Name is for people; the default is the target's name and a number.
	Name string
	// Stdin, Stdout and Stderr are the child's; nil means the parent's own.
	Stdin, Stdout, Stderr *os.File
	// Env is added to the parent's environment, in the form "key=value"; of two settings of one variable the last holds.
	Env []string
	// Dir is the child's working directory; "" means the parent's.
	Dir string
	// Executable is the program to run instead of this one. It must register the same targets and call Init.
	Executable string
}

var (
	started     atomic.Int64 // processes, for their names
	initialized atomic.Bool
)

// Check returns why this process cannot start others now, or nil.
func Check(ctx context.Context) error {
	if !initialized.Load() || os.Getenv(envMark) != "" {
		return ErrNotInitialized
	}
	return ctx.Err()
}

// A Parcel is what a child is sent, whatever way it comes to be.
type Parcel struct {
	Name     string
	Options  *Options
	Stdio    [3]*os.File // the caller's
	Mail     *os.File    // the mailbox
	Segments []*os.File  // and the files in the argument behind them
	Service  bool        // the child is none that a user has started
}

// NewParcel makes the mailbox of a child, without orders, for a call of this name.
func NewParcel(target string, o *Options) (*Parcel, error) {
	if o == nil {
		o = &Options{}
	}
	p := &Parcel{Name: o.Name, Options: o, Stdio: [3]*os.File{or(o.Stdin, os.Stdin), or(o.Stdout, os.Stdout), or(o.Stderr, os.Stderr)}}
	if p.Name == "" {
		p.Name = target + "-" + strconv.FormatInt(started.Add(1), 10)
	}
	fd, err := sys.Scratch("multiproc-mailbox")
	if err != nil {
		return nil, fmt.Errorf("multiproc: %w", err)
	}
	p.Mail = os.NewFile(uintptr(fd), "mailbox")
	return p, nil
}

func or(f, def *os.File) *os.File {
	if f != nil {
		return f
	}
	return def
}

// Pack makes the mailbox of a child, with the orders for the call in it, and the descriptors of the segments that it is going to need.
// edit may change the orders before they are written; it may be nil.
func (c *Call) Pack(o *Options, edit func(*Orders)) (*Parcel, error) {
	p, err := NewParcel(c.Target, o)
	if err != nil {
		return nil, err
	}
	orders := Orders{Target: c.Target, Name: p.Name, ParentPID: os.Getpid(), Arg: c.Arg, Method: Method()}
	segs := c.Segments
	if d := shm.PeekDefault(); d != nil {
		orders.Default = d.ID()
		with := Call{Segments: segs}
		with.need(d)
		segs = with.Segments
	}
	orders.Segments = len(segs)
	if edit != nil {
		edit(&orders)
	}
	segs = segs[:orders.Segments]
	orders.Files = len(c.cargo.FDs())
	orders.Segments += orders.Files
	if err := WriteOrders(p.Mail, &orders); err != nil {
		p.Close()
		return nil, fmt.Errorf("multiproc: write the child's orders: %w", err)
	}
	for _, s := range segs {
		fd, err := s.Export()
		if err == nil {
			p.Segments = append(p.Segments, os.NewFile(uintptr(fd), "segment"))
			continue
		}
		p.Close()
		return nil, fmt.Errorf("multiproc: %w", err)
	}
	for _, fd := range c.cargo.FDs() {
		dup, err := sys.DupFD(fd)
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("multiproc: %w", err)
		}
		p.Segments = append(p.Segments, os.NewFile(uintptr(dup), "file"))
	}
	return p, nil
}

// Files returns what the child has from descriptor 0 on.
func (p *Parcel) Files() []*os.File {
	return append(append(p.Stdio[:len(p.Stdio):len(p.Stdio)], p.Mail), p.Segments...)
}

// Close closes what is the parcel's own: all that the child has by now, or will never get.
func (p *Parcel) Close() {
	if p.Mail != nil {
		p.Mail.Close()
	}
	for _, f := range p.Segments {
		f.Close()
	}
}

// Environ returns the child's environment: of two settings of one variable the last holds.
func (o *Options) Environ(more ...string) []string {
	cmd := exec.Cmd{Dir: o.Dir, Env: append(append(os.Environ(), o.Env...), more...)}
	return cmd.Environ()
}

// method is the start method that the family uses where none is named. It means something to the root package alone.
var method atomic.Pointer[string]

// Method returns what SetMethod was given, here or in an ancestor, or "".
func Method() string {
	if m := method.Load(); m != nil {
		return *m
	}
	return ""
}

// SetMethod has m travel to all descendants.
func SetMethod(m string) { method.Store(&m) }
