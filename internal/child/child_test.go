package child_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/child"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func TestMain(m *testing.M) { proctest.Main(m) }

func mailbox(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "mailbox"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteAt([]byte{1}, 1<<42); err != nil {
		t.Skip("this file system has no large sparse files: ", err)
	}
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestOrders(t *testing.T) {
	f := mailbox(t)
	if _, err := child.TakeOrders(f); err == nil || child.OrdersTaken(f) {
		t.Error("there are orders in an empty mailbox")
	}
	want := child.Orders{Target: "t", Name: "n", ParentPID: 7, Arg: []byte("arg"), Segments: 2, Default: 1 << 63}
	if err := child.WriteOrders(f, &want); err != nil {
		t.Fatal(err)
	}
	if child.OrdersTaken(f) {
		t.Error("the orders are taken before anybody has taken them")
	}
	got, err := child.TakeOrders(f)
	if err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if !child.OrdersTaken(f) {
		t.Error("the orders are not taken after they were")
	}
	if _, err := child.TakeOrders(f); err == nil {
		t.Error("the orders were taken twice")
	}
}

func TestReport(t *testing.T) {
	f := mailbox(t)
	if r := child.ReadReport(f); r != nil {
		t.Errorf("there is a report in an empty mailbox: %+v", r)
	}
	for _, want := range []child.Report{{Text: "a longer text than the next"}, {Panic: true, Text: "p", Stack: "s\n\ns"}, {}} {
		if err := child.WriteReport(f, &want); err != nil {
			t.Fatal(err)
		}
		if got := child.ReadReport(f); got == nil || *got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if err := child.WriteReport(f, &child.Report{Text: strings.Repeat("x", 1<<24)}); err != nil {
		t.Fatal(err)
	}
	if got := child.ReadReport(f); got == nil || len(got.Text) > 1<<20 || !strings.HasSuffix(got.Text, "(cut)") {
		t.Error("a huge text came back in full, or not at all")
	}
}

// What the Go runtime writes when it dies.
func TestCrash(t *testing.T) {
	for _, c := range []struct{ out, text, stack string }{
		{"panic: oh no\n\ngoroutine 7 [running]:\nmain.f()\n", "panic: oh no", "goroutine 7 [running]:\nmain.f()"},
		{"panic: a [recovered]\n\tpanic: b\n\ngoroutine 1", "panic: a [recovered]\n\tpanic: b", "goroutine 1"},
		{"\ngoroutine 7 [running]:\nmain.f()\n\ngoroutine 8 [select]:\n", "fatal error of the Go runtime", "goroutine 7 [running]:\nmain.f()\n\ngoroutine 8 [select]:"},
		{"cut short", "cut short", ""},
	} {
		f := mailbox(t)
		if err := child.SeekCrash(f); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(c.out); err != nil {
			t.Fatal(err)
		}
		r := child.ReadReport(f)
		if r == nil || !r.Panic || !strings.HasPrefix(r.Text, c.text) || r.Stack != c.stack {
			t.Errorf("of %q the report is %+v", c.out, r)
		}
	}
}

// The child may write what it likes into its mailbox.
func TestDamagedMailbox(t *testing.T) {
	for _, size := range []uint64{1, 100, 1 << 20, 1 << 41, 1 << 62, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		for _, off := range []int64{0, 1 << 40} {
			f := mailbox(t)
			if _, err := f.WriteAt([]byte(strings.Repeat("\xFF", 64)), off); err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte("some crash"), 1<<41); err != nil { // a large file
				t.Fatal(err)
			}
			if _, err := f.WriteAt(binary.LittleEndian.AppendUint64(nil, size), off); err != nil {
				t.Fatal(err)
			}
			if size <= 1<<20 || size > 1<<41 { // of what the parent has written itself there may be much
				if o, err := child.TakeOrders(f); err == nil && o.Target != "" {
					t.Errorf("damaged orders of %d bytes were read as %+v", size, o)
				}
			}
			if r := child.ReadReport(f); r != nil && r.Text != "" && !r.Panic {
				t.Errorf("a damaged report of %d bytes was read as %+v", size, r)
			}
		}
	}
}

var known = func() string {
	child.Register("known", func(context.Context, []byte) error { return nil })
	return "known"
}()

func TestFind(t *testing.T) {
	if run, err := child.Find(known); run == nil || err != nil {
		t.Errorf("Find returned %v", err)
	}
	if _, err := child.Find("unheard"); !errors.Is(err, child.ErrUnknownTarget) || !strings.Contains(err.Error(), `"unheard"`) {
		t.Errorf("Find of a target that nobody has registered returned %v", err)
	}
}
