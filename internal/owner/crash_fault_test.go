//go:build fault && linux

package owner_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/owner"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// TestCrashPoints kills and stops a process at each point of joining and leaving, in a table of one place whose last holder has
// died: the place is refused while the process stands there and taken over when it is dead.
func TestCrashPoints(t *testing.T) {
	const n = 1
	points := proctest.Points(t, "owner.")
	want := []string{"owner.join.buried", "owner.join.claimed", "owner.join.filled", "owner.join.locked", "owner.leave.marked"}
	if !slices.Equal(points, want) {
		t.Fatalf("the package has the crash points %q; this test knows %q", points, want)
	}
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			file := newFile(t, n)
			first := join(t, file, n)
			first.die()
			see := look(t, file, n)

			p := startMember(t, file, n, "MULTIPROC_FAULT=stop:"+point+":1")
			leaving := point == "owner.leave.marked"
			var tok uint32
			if leaving {
				var joined bool
				if tok, joined = p.token(); !joined || !see.Alive(tok) {
					t.Fatal("the process has not joined")
				}
				ok(t, p.stdin.Close())
			}
			proctest.Eventually(t, func() bool { return proctest.Stopped(t, p.cmd.Process.Pid) }, "a process stops at "+point)
			if see.Alive(first.tok) {
				t.Error("the dead one is alive again")
			}
			if leaving && see.Alive(tok) {
				t.Error("who has left is alive")
			}
			late := look(t, file, n)
			if _, err := late.Join(); !errors.Is(err, layout.ErrTooMany) {
				t.Errorf("the place of a process that stands at %s was taken: %v", point, err)
			}
			p.kill()
			proctest.Eventually(t, func() bool {
				return !slices.ContainsFunc(see.All(), func(i owner.Info) bool { return see.Alive(i.Token) })
			}, "all are dead")
			heir := joinEventually(t, late)
			if heir == first.tok || heir == tok || !see.Alive(heir) || see.Alive(first.tok) || see.Alive(tok) {
				t.Errorf("tokens: first %#x, killed %#x, heir %#x", first.tok, tok, heir)
			}
		})
	}
}

// TestDeathAtPoint has the kernel kill instead of the test, to see that it is the same.
func TestDeathAtPoint(t *testing.T) {
	const n = 1
	for _, point := range proctest.Points(t, "owner.") {
		file := newFile(t, n)
		join(t, file, n).die()
		p := startMember(t, file, n, "MULTIPROC_FAULT=kill:"+point+":1")
		ok(t, p.stdin.Close())
		if err := p.cmd.Wait(); err == nil {
			t.Errorf("no process passed %s", point)
		}
		late := look(t, file, n)
		late.tok = joinEventually(t, late)
		late.leave(t)
	}
}

// joinEventually joins a table whose only place a process had that was killed, and that has been waited for. What it holds, whoever reads its files
// under /proc may keep held for a moment, the claim too, of which no question tells.
func joinEventually(t *testing.T, p *part) (tok uint32) {
	t.Helper()
	proctest.Eventually(t, func() bool {
		var err error
		if tok, err = p.Join(); err != nil && !errors.Is(err, layout.ErrTooMany) {
			t.Fatal(err)
		}
		return err == nil
	}, "the place of the dead is taken")
	return tok
}
