package queue

import (
	"slices"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// TestPointsDeclared holds the list of points against the sources: a new crash point is one to die at.
func TestPointsDeclared(t *testing.T) {
	want := proctest.Points(t, "", "../../../ringbuf/mpmc*.go", "../../../internal/owner/*.go", "../../../futex/eventcount.go")
	got := slices.Sorted(slices.Values(names()))
	if !slices.Equal(got, want) {
		t.Errorf("the points of the suite are\n\t%q\nand those of the sources\n\t%q", got, want)
	}
	for _, name := range instead {
		if !slices.Contains(want, name) {
			t.Errorf("there is no point %s", name)
		}
	}
}

func TestMessage(t *testing.T) {
	s := sizes{Inline: 96, Large: 3000}
	large := 0
	for id := uint64(1); id < 2000; id++ {
		msg := s.make(id)
		if s.large(id) {
			large++
		}
		if (len(msg) > s.Inline) != s.large(id) || len(msg) > s.Large || len(msg) < idSize {
			t.Fatalf("message %d has %d bytes", id, len(msg))
		}
		if got, err := s.check(msg); got != id || err != nil {
			t.Fatalf("message %d is read as %d, %v", id, got, err)
		}
		if len(msg) == idSize {
			continue
		}
		msg[len(msg)-1] ^= 1
		if _, err := s.check(msg); err == nil {
			t.Fatalf("message %d of %d bytes: a wrong last byte goes unnoticed", id, len(msg))
		}
		if _, err := s.check(s.make(id)[:len(msg)-1]); err == nil {
			t.Fatalf("message %d is one byte short, unnoticed", id)
		}
	}
	if large < 300 || large > 700 {
		t.Errorf("%d of 2000 messages are large", large)
	}
}
