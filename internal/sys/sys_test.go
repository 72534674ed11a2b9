package sys_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

func TestMain(m *testing.M) { proctest.Main(m) }

func TestUnsupported(t *testing.T) {
	err := sys.Unsupported("magic")
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "magic is not available on "+runtime.GOOS) {
		t.Errorf("Unsupported returned %v", err)
	}
}
