//go:build fault && unix

package fault

import (
	"slices"
	"syscall"
	"testing"
)

func TestArm(t *testing.T) {
	defer Arm("")
	for _, bad := range []string{"x", "list", "kill", "kill:a", "kill:a:0", "kill:a:-1", "kill:a:b", "kill:a:1:2", "term:a:1", ":a:1", "stop:a:"} {
		if err := Arm(bad); err == nil {
			t.Errorf("the order %q was taken", bad)
		}
	}
	for s, want := range map[string]order{
		"kill:a.b.c:1": {syscall.SIGKILL, "a.b.c", 1},
		"stop:x:19":    {syscall.SIGSTOP, "x", 19},
	} {
		if err := Arm(s); err != nil || *armed.Load() != want {
			t.Errorf("the order %q: %v, %v", s, armed.Load(), err)
		}
	}
	if err := Arm(""); err != nil || armed.Load() != nil {
		t.Errorf("disarmed: %v, %v", armed.Load(), err)
	}
}

// A point is passed, counted and remembered; only the one that is armed counts.
func TestPoint(t *testing.T) {
	defer Arm("")
	if err := Arm("kill:test.armed:3"); err != nil {
		t.Fatal(err)
	}
	Point("test.armed")
	for range 9 {
		Point("test.other")
	}
	Point("test.armed") // the third would kill
	if n := passes.Load(); n != 2 {
		t.Errorf("%d passes were counted, want 2", n)
	}
	for _, name := range []string{"test.armed", "test.other"} {
		if !slices.Contains(Seen(), name) {
			t.Errorf("%s is not among those seen", name)
		}
	}
	if !Enabled {
		t.Error("not enabled")
	}
}
