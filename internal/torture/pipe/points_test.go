package pipe

import (
	"slices"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// TestPointsDeclared holds the list of points against the sources: a new crash point is one to die at.
func TestPointsDeclared(t *testing.T) {
	want := proctest.Points(t, "", "../../../ringbuf/pipe*.go", "../../../ringbuf/mpmc*.go", "../../../internal/owner/*.go", "../../../futex/eventcount.go")
	got := append(names(), never...)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the points of the suite are\n\t%q\nand those of the sources\n\t%q", got, want)
	}
	for _, name := range instead {
		if !slices.Contains(want, name) {
			t.Errorf("there is no point %s", name)
		}
	}
}

// TestMessage has a message of every kind, and of the wrong end, torn, or short.
func TestMessage(t *testing.T) {
	s := sizes{Inline: 224, Arena: 16 << 10, Block: 20 << 10}
	var kinds [3]int
	for id := uint64(1); id < 500; id++ {
		msg := s.make(id, 1)
		switch n := len(msg); {
		case n > s.Arena:
			kinds[2]++
		case n > s.Inline:
			kinds[1]++
		default:
			kinds[0]++
		}
		if len(msg) < idSize || len(msg) > s.Block {
			t.Fatalf("message %d has %d bytes", id, len(msg))
		}
		if got, err := s.check(msg, 1); got != id || err != nil {
			t.Fatalf("message %d is read as %d, %v", id, got, err)
		}
		if len(msg) == idSize {
			continue
		}
		if _, err := s.check(msg, 0); err == nil {
			t.Fatalf("message %d is taken for one of the other end", id)
		}
		msg[len(msg)-1] ^= 1
		if _, err := s.check(msg, 1); err == nil {
			t.Fatalf("message %d of %d bytes: a wrong last byte goes unnoticed", id, len(msg))
		}
		if _, err := s.check(s.make(id, 1)[:len(msg)-1], 1); err == nil {
			t.Fatalf("message %d is one byte short, unnoticed", id)
		}
	}
	if kinds[0] < 200 || kinds[1] < 60 || kinds[2] < 30 {
		t.Errorf("of the kinds of messages there are %d", kinds)
	}
}
