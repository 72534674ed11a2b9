//go:build fault && linux

package pipe

import (
	"context"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/torture"
)

// TestRun runs the suite in this process, whose TestMain looks at what it leaves behind.
func TestRun(t *testing.T) {
	res := Run(context.Background(), torture.Options{Kills: 150, Victims: 6, Seed: 3, Patience: time.Minute, Log: t.Output(), Verbose: true})
	if res.Trouble() || res.Kills < 150 || res.Critical != res.Kills || res.Messages == 0 || res.Rounds == 0 || res.Wakes == 0 {
		t.Errorf("%s", res.JSON())
	}
}

// TestRunEnds ends early when its context does, and leaves nobody behind.
func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 700*time.Millisecond)
	defer cancel()
	res := Run(ctx, torture.Options{Kills: 1 << 30, Victims: 4, Seed: 4, Patience: time.Minute, Log: t.Output()})
	if res.Lost+res.Duplicated+res.Corrupt+res.Disorder+res.Hung > 0 {
		t.Errorf("%s", res.JSON())
	}
}
