package pipe

import (
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func TestMain(m *testing.M) { proctest.Main(m) }
