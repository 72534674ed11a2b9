package proctest

import (
	"os"
	"os/exec"
	"testing"
)

// Again runs the tests of this package once more in a process of their own, with one more setting of the environment, "key=value", and these flags of the test binary.
func Again(t *testing.T, setting string, flags ...string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if testing.Verbose() {
		flags = append(flags, "-test.v")
	}
	cmd := exec.CommandContext(t.Context(), exe, flags...)
	cmd.Env = append(os.Environ(), setting)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("%s", out)
	}
}
