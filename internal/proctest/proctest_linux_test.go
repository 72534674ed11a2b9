package proctest

import (
	"os"
	"strconv"
	"syscall"
	"testing"
)

func readState(pid int) (byte, bool) {
	p, ok := readProcess(pid)
	return p.state, ok
}

// killDescendants ends the descendants of this run that nobody is the parent of any more.
func killDescendants(t *testing.T) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, ok := readProcess(pid); ok && p.name == "sleep" && descends(p) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
