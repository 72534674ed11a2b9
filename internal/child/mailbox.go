package child

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fb2d3dbd/multiproc/internal/codec"
)

// Orders are what a parent tells its child.
type Orders struct {
	Target    string
	Name      string // of the process
	ParentPID int
	Arg       []byte
	Segments  int      // descriptors that follow the mailbox's: of segments,
	Files     int      // and the last so many of them of what is in the argument
	Method    string   // by which the family starts processes where no method is named; "" is none
	Env       []string // the child's environment, where it cannot come with the process
	Default   uint64   // id of the segment among them that the family shares, or 0
}

// A Report is what a child says of its end.
type Report struct {
	Panic bool
	Text  string
	Stack string
}

// The mailbox is an anonymous file that the parent makes and the child inherits, so it needs no reader while the child
// runs and keeps what was said however the child ends:
//
//	0            length of the orders: 8 bytes; 0 once the child has taken them
//	8            the orders
//	readyOff     1 byte, 1 once the child has its argument and everything in it open
//	reportOff    a Report, in the same form
//	crashOff     what the Go runtime prints when it dies of a panic or a fatal error
const (
	readyOff  = 1 << 39
	reportOff = 1 << 40
	crashOff  = 1 << 41
	maxReport = 1 << 20
)

func write[T any](f *os.File, off int64, v *T) error {
	b, err := codec.Append(nil, v, nil)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(b, off+8); err != nil {
		return err
	}
	_, err = f.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(len(b))), off)
	return err
}

func read(f *os.File, off, limit int64) ([]byte, error) {
	var n [8]byte
	if _, err := f.ReadAt(n[:], off); err != nil {
		return nil, err
	}
	size := int64(binary.LittleEndian.Uint64(n[:]))
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if size <= 0 || size > min(fi.Size()-off-8, limit) {
		return nil, fmt.Errorf("mailbox: %d bytes announced, %d there", size, fi.Size()-off-8)
	}
	b := make([]byte, size)
	_, err = io.ReadFull(io.NewSectionReader(f, off+8, size), b)
	return b, err
}

// WriteOrders leaves the orders in the mailbox.
func WriteOrders(f *os.File, o *Orders) error {
	return write(f, 0, o)
}

// TakeOrders reads them and leaves the mark that they were taken.
func TakeOrders(f *os.File) (*Orders, error) {
	b, err := read(f, 0, readyOff)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteAt(make([]byte, 8), 0); err != nil {
		return nil, err
	}
	var o Orders
	return &o, codec.Decode(b, &o)
}

// OrdersTaken reports whether a child has taken the orders: a program that does not know of them leaves them there.
func OrdersTaken(f *os.File) bool {
	var n [8]byte
	_, err := f.ReadAt(n[:], 0)
	return err == nil && n == [8]byte{}
}

// MarkReady says that the child has its argument, with every handle in it open.
func MarkReady(f *os.File) error {
	_, err := f.WriteAt([]byte{1}, readyOff)
	return err
}

// IsReady reports whether the child has said so.
func IsReady(f *os.File) bool {
	var b [1]byte
	_, err := f.ReadAt(b[:], readyOff)
	return err == nil && b[0] == 1
}

// WriteReport leaves the child's report in the mailbox.
func WriteReport(f *os.File, r *Report) error {
	r.Text, r.Stack = cut(r.Text), cut(r.Stack)
	return write(f, reportOff, r)
}

// ReadReport returns the child's report, or what the runtime printed when it crashed, or nil.
func ReadReport(f *os.File) *Report {
	if b, err := read(f, reportOff, maxReport); err == nil {
		var r Report
		if codec.Decode(b, &r) == nil {
			return &r
		}
	}
	b, err := io.ReadAll(io.NewSectionReader(f, crashOff, maxReport))
	if len(b) == 0 || (err != nil && !errors.Is(err, io.EOF)) {
		return nil
	}
	out := strings.TrimSpace(string(b))
	if strings.HasPrefix(out, "goroutine ") {
		// Of a fatal error the runtime sends everything here but the line that says what it is.
		return &Report{Panic: true, Text: "fatal error of the Go runtime; what it is stands on the process's standard error", Stack: out}
	}
	text, stack, _ := strings.Cut(out, "\n\n")
	return &Report{Panic: true, Text: strings.TrimSpace(text), Stack: stack}
}

// SeekCrash sets the file offset to where the runtime's crash output belongs.
func SeekCrash(f *os.File) error {
	_, err := f.Seek(crashOff, io.SeekStart)
	return err
}

func cut(s string) string {
	if len(s) > maxReport/4 {
		return s[:maxReport/4] + "\n(cut)"
	}
	return s
}

// MarkTaken leaves the mark of orders that were taken, where they came by another way.
func MarkTaken(f *os.File) error {
	_, err := f.WriteAt(make([]byte, 8), 0)
	return err
}
