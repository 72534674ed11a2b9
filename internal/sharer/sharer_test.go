//go:build linux

package sharer

import (
	"errors"
	"os"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func TestMain(m *testing.M) { proctest.Main(m) }

func file(t *testing.T) *os.File {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() { r.Close() })
	return r
}

func encode(t *testing.T, f *os.File, o *Out) []byte {
	t.Helper()
	b, err := codec.AppendWith(nil, &f, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(b []byte, carrier any) error {
	var f *os.File
	err := codec.DecodeWith(b, &f, carrier)
	if err == nil {
		f.Close()
	}
	return err
}

func TestTakenOnce(t *testing.T) {
	var o Out
	b := encode(t, file(t), &o)
	o.End(true)
	if err := decode(b, Taker{}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the shop is closed by now
		if err := decode(b, Taker{}); !errors.Is(err, ErrGone) {
			t.Errorf("taken twice: %v", err)
		}
	}
}

func TestBorrowed(t *testing.T) {
	var o Out
	b := encode(t, file(t), &o)
	o.End(true)
	var r Borrower
	for range 3 {
		if err := decode(b, &r); err != nil {
			t.Fatal(err)
		}
	}
	r.Release()
	r.Release()
	if err := decode(b, Taker{}); !errors.Is(err, ErrGone) {
		t.Errorf("taken after the release: %v", err)
	}
}

func TestNotSent(t *testing.T) {
	var o Out
	b := encode(t, file(t), &o)
	o.End(false)
	if err := decode(b, Taker{}); !errors.Is(err, ErrGone) {
		t.Errorf("taken though it was not sent: %v", err)
	}
}

// What is never taken has a bound, and what is over it breaks nothing.
func TestTooMany(t *testing.T) {
	f := file(t)
	var o Out
	defer o.End(false)
	for range maxShared {
		encode(t, f, &o)
	}
	var more Out
	if _, err := codec.AppendWith(nil, &f, nil, &more); !errors.Is(err, ErrTooMany) {
		t.Errorf("one too many: %v", err)
	}
	more.End(false)
	o.End(false)
	b := encode(t, f, &more)
	if err := decode(b, Taker{}); err != nil {
		t.Error(err)
	}
}

func TestBadTickets(t *testing.T) {
	var o Out
	b := encode(t, file(t), &o)
	defer o.End(false)
	for _, i := range []int{5, 20} { // in the socket's name, in the number
		bad := append([]byte(nil), b...)
		bad[i] ^= 1
		if err := decode(bad, Taker{}); !errors.Is(err, ErrGone) {
			t.Errorf("a ticket with byte %d changed: %v", i, err)
		}
	}
	if err := decode(append([]byte{17}, make([]byte, 16)...), Taker{}); !errors.Is(err, codec.ErrCorrupt) {
		t.Errorf("half a ticket: %v", err)
	}
}
