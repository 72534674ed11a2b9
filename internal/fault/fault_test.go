//go:build !fault || !unix

package fault

import "testing"

// In a normal build a point is nothing, whatever the environment says.
func TestNothing(t *testing.T) {
	t.Setenv("MULTIPROC_FAULT", "kill:test:1")
	Point("test")
	if Enabled {
		t.Error("a normal build has crash points")
	}
	if n := testing.AllocsPerRun(100, func() { Point("test") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
