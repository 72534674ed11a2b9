package shm_test

import (
	"errors"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

func TestMain(m *testing.M) { proctest.Main(m) }

func ok(t testing.TB, err error) {
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	if !errors.Is(err, want) {
		t.Helper()
		t.Errorf("got error %v, want %v", err, want)
	}
}

// newSegment makes an anonymous segment that is closed at the end of the test.
func newSegment(t testing.TB, o *shm.Options) *shm.Segment {
	t.Helper()
	s, err := shm.New(o)
	ok(t, err)
	t.Cleanup(func() { ok(t, s.Close()) })
	return s
}

// again opens the segment once more: another participant, with a mapping of its own.
func again(t testing.TB, s *shm.Segment) *shm.Segment {
	t.Helper()
	b, err := s.MarshalBinary()
	ok(t, err)
	other := new(shm.Segment)
	ok(t, other.UnmarshalBinary(b))
	t.Cleanup(func() { ok(t, other.Close()) })
	return other
}
