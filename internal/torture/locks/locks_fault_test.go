//go:build fault && linux

package locks

import (
	"strings"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/internal/torture"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// A short run finds nothing wrong, and kills as often as asked for.
func TestRun(t *testing.T) {
	var log strings.Builder
	res := Run(t.Context(), torture.Options{Kills: 120, Victims: 16, Seed: 1, Patience: time.Minute, Log: &log})
	if res.Trouble() || res.Kills < 120 || res.Critical != res.Kills || res.PointsHit < res.Points/2 {
		t.Errorf("%s\n%s", res.JSON(), log.String())
	}
}
