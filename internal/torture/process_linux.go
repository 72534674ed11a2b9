package torture

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/fb2d3dbd/multiproc/spawn"
)

// stopped reports whether a process is stopped by a signal.
func stopped(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, ok := strings.Cut(string(b), ") ") // the name of this program has no parenthesis
	return ok && strings.HasPrefix(rest, "T")
}

// resume lets a stopped process go on.
func resume(p *spawn.Process) { _ = p.Signal(syscall.SIGCONT) }
