//go:build fault && linux

package pool

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
	res := Run(t.Context(), torture.Options{Kills: 150, Victims: 6, Seed: 1, Patience: time.Minute, Log: &log})
	if res.Trouble() || res.Kills < 150 || res.PointsHit < res.Points/2 || res.Stops == 0 {
		t.Errorf("%s\n%s", res.JSON(), log.String())
	}
}

// seldom are points that this suite does not bring about.
var seldom = []string{"pool.worker.ordered"} // of the memory limit

// Every crash point of the pool is one that the suite knows.
func TestPoints(t *testing.T) {
	var own []string
	for _, p := range append(slices.Clone(points), seldom...) {
		if strings.HasPrefix(p, "pool.") {
			own = append(own, p)
		}
	}
	slices.Sort(own)
	if all := proctest.Points(t, "pool.", "../../../pool/*.go"); !slices.Equal(own, all) {
		t.Errorf("the suite has\n%q\nthe pool\n%q", own, all)
	}
}
