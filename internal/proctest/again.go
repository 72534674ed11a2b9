package proctest

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// Again runs the tests of this package once more in a process of their own, with one more setting of the environment, "key=value", and these flags of the test binary.
// It has the time that this run has left, all but what it takes to tell where that process stands when it is over.
func Again(t *testing.T, setting string, flags ...string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if testing.Verbose() {
		flags = append(flags, "-test.v")
	}
	if end, ok := t.Deadline(); ok {
		left := time.Until(end)
		flags = append(flags, "-test.timeout="+(left-min(left/10, 20*time.Second)).String())
	}
	cmd := exec.CommandContext(t.Context(), exe, flags...)
	cmd.Env = append(os.Environ(), setting)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("%s", out)
	}
}
