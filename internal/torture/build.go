package torture

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/fb2d3dbd/multiproc/internal/fault"
)

// builtIn is the directory of a program that Rebuild has built, to be removed by it.
const builtIn = "MULTIPROC_TORTURE_DIR"

// Rebuild returns in a program that has crash points. In another it builds the program again, with the tag that gives it
// crash points, and goes on as that one; it returns only when it cannot.
func Rebuild() error {
	if fault.Enabled {
		if dir := os.Getenv(builtIn); dir != "" {
			os.Unsetenv(builtIn)
			os.RemoveAll(dir) // what runs needs no name
		}
		return nil
	}
	if os.Getenv(builtIn) != "" {
		return fmt.Errorf("torture: this platform has no crash points")
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Path == "" {
		return fmt.Errorf("torture: the program does not know what it was built from; build it with -tags fault")
	}
	dir, err := os.MkdirTemp("", "multiproc-torture-")
	if err != nil {
		return err
	}
	exe := filepath.Join(dir, "torture")
	build := exec.Command("go", "build", "-tags", "fault", "-o", exe, info.Path)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err = build.Run(); err == nil {
		err = syscall.Exec(exe, append([]string{exe}, os.Args[1:]...), append(os.Environ(), builtIn+"="+dir))
	}
	os.RemoveAll(dir)
	return fmt.Errorf("torture: build the program with crash points (in the module's directory): %w", err)
}
