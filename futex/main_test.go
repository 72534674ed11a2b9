package futex_test

import (
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// newSegment makes an anonymous segment that is closed at the end of the test.
func newSegment(t testing.TB, size int) *shm.Segment {
	t.Helper()
	seg, err := shm.New(&shm.Options{Size: size})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { seg.Close() })
	return seg
}
