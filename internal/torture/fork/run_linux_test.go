//go:build amd64 && !race

package fork

import (
	"errors"
	"os"
	"testing"
	"time"

	primitive "github.com/fb2d3dbd/multiproc/internal/fork"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func TestMain(m *testing.M) {
	Worker()
	proctest.Main(m)
}

// perCase is how often each thing is done by a copy. The command does each as often as it is told to.
const perCase = 27

// TestFork has each case done by copies of quiet, busy and frozen processes. A fork that takes longer than patience is a hung one;
// all of them together may take what they need.
func TestFork(t *testing.T) {
	if err := primitive.Available(); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	forks := perCase * len(cases)
	if testing.Short() {
		forks = 9 * len(cases)
	}
	res := Run(t.Context(), Options{Forks: forks, Case: os.Getenv("FORK_CASE"), Kind: os.Getenv("FORK_KIND"), Patience: 30 * time.Second, Log: os.Stderr})
	t.Logf("%s", res.JSON())
	if res.Trouble() || res.Forks != forks {
		t.Errorf("%+v", res)
	}
}
