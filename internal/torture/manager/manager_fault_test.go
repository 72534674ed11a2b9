//go:build fault && linux

package manager

import (
	"slices"
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
	res := Run(t.Context(), torture.Options{Kills: 60, Victims: 6, Seed: 1, Patience: time.Minute, Log: &log})
	if res.Trouble() || res.Kills < 60 || res.PointsHit < res.Points/3 {
		t.Errorf("%s\n%s", res.JSON(), log.String())
	}
}

// Every crash point of the manager is one that the suite knows.
func TestPoints(t *testing.T) {
	own := slices.Sorted(slices.Values(points))
	if all := proctest.Points(t, "manager.", "../../../manager/*.go"); !slices.Equal(own, all) {
		t.Errorf("the suite has\n%q\nthe manager\n%q", own, all)
	}
}
