package proctest

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/fb2d3dbd/multiproc/shm"
)

// Dead returns when it is proven that none of these processes takes part in a segment any more; without pids, none but this process.
//
// A parent may learn of the end of a process before that can be proven: whoever reads its maps, its environment or the like under /proc at the moment
// of its death keeps its memory for so long. What waits for a death asks again; a test that is about to ask once, or to try, waits here first.
func Dead(t testing.TB, seg *shm.Segment, pids ...int) {
	t.Helper()
	var alive []shm.Participant
	proven := poll(func() bool {
		alive = slices.DeleteFunc(seg.Participants(), func(p shm.Participant) bool {
			wanted := slices.Contains(pids, p.PID) || len(pids) == 0 && p.PID != os.Getpid()
			return !wanted || !seg.Alive(p.Token)
		})
		return len(alive) == 0
	})
	if !proven {
		t.Fatalf("not proven dead within %v: %s", patience, fmt.Sprint(alive))
	}
}
