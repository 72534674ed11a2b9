package bench

import (
	"fmt"
	"os"
	"syscall"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// KeepOnCPUs makes this process, and those that it starts, run on the first n of the CPUs that it may use. Where these are more than n it
// does not return but begins the program anew, so that its runtime counts them too; a program calls it before it does anything else.
// More CPUs than there are, and a system that does not know of such a thing, are errors.
func KeepOnCPUs(n int) error {
	cpus, err := sys.AllowedCPUs()
	if err != nil {
		return fmt.Errorf("keep on %d CPUs: %w", n, err)
	}
	if n < 1 || n > len(cpus) {
		return fmt.Errorf("keep on %d CPUs: this process may use %d", n, len(cpus))
	}
	if n == len(cpus) {
		return nil
	}
	if _, err := sys.PinThread(cpus[:n]...); err != nil {
		return err
	}
	path, err := os.Executable()
	if err == nil {
		err = syscall.Exec(path, os.Args, os.Environ()) // the thread's affinity becomes that of all
	}
	return fmt.Errorf("begin anew on %d CPUs: %w", n, err)
}
