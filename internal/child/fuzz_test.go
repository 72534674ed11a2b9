package child_test

import (
	"os"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/child"
)

// FuzzMailbox reads orders and a report from files that hold anything: an error or something, never a panic, and never more memory
// than the file has.
func FuzzMailbox(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 7}, []byte("panic: x\n\ngoroutine 1"))
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 0}, []byte("goroutine "))
	file, err := os.CreateTemp(f.TempDir(), "mailbox")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { file.Close() })
	if err := child.WriteOrders(file, &child.Orders{Target: "t", Name: "n", Arg: []byte{1, 2}, Segments: 1}); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(file.Name())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, good)
	f.Fuzz(func(t *testing.T, front, back []byte) {
		put := func(b []byte, off int64) {
			if err := file.Truncate(0); err != nil {
				t.Fatal(err)
			}
			if _, err := file.WriteAt(b, off); err != nil {
				t.Fatal(err)
			}
		}
		put(front, 0)
		child.OrdersTaken(file)
		if o, err := child.TakeOrders(file); err == nil && o == nil {
			t.Error("no orders and no error")
		}
		for _, off := range []int64{1 << 40, 1 << 41} { // the report's place and the crash output's
			put(back, off)
			child.ReadReport(file)
		}
	})
}
