package proctest

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/fb2d3dbd/multiproc/forkserver"
	"github.com/fb2d3dbd/multiproc/shm"
)

// maxThreads is far more than the tests of one package need at a time; idle threads are not given back by the runtime.
const maxThreads = 256

// A scene is what there is in and around this process, each thing described in one line that stays the same while it lives.
type scene struct {
	descriptors []string
	children    []string
	orphans     []string // living descendants, however far removed
	segments    []string
	mappings    []string
	goroutines  []string
	threads     int
}

// leftovers returns what is there now and was not before, and is still there after the time has passed.
func leftovers(before scene, patience time.Duration) []string {
	// The family's segment lives as long as the process by design. Closed, it must leave as little as any other.
	var left []string
	if err := forkserver.Stop(); err != nil { // it too lives as long as the process
		left = append(left, "the zygote: "+err.Error())
	}
	if d := shm.PeekDefault(); d != nil {
		if err := d.Close(); err != nil {
			left = append(left, "the default segment: "+err.Error())
		}
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		found := append(slices.Clone(left), look().without(before)...)
		if len(found) == 0 || time.Now().After(end) {
			return found
		}
	}
}

func (s scene) without(before scene) []string {
	var left []string
	add := func(what string, now, then []string) {
		then = slices.Clone(then)
		for _, x := range now {
			if i := slices.Index(then, x); i >= 0 {
				then = slices.Delete(then, i, i+1)
				continue
			}
			left = append(left, what+" "+x)
		}
	}
	add("descriptor", s.descriptors, before.descriptors)
	add("child process", s.children, before.children)
	add("descendant process", s.orphans, before.orphans)
	add("named segment", s.segments, before.segments)
	add("mapping", s.mappings, before.mappings)
	add("goroutine", s.goroutines, before.goroutines)
	if s.threads > before.threads+maxThreads {
		left = append(left, fmt.Sprintf("%d threads, and %d before", s.threads, before.threads))
	}
	return left
}

// goroutines describes the running goroutines but for the caller and those that live as long as the process.
func goroutines() []string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	_, others, _ := strings.Cut(string(buf), "\n\n") // the caller's is the first
	var all []string
	for g := range strings.SplitSeq(others, "\n\n") {
		if g != "" && !lasting(g) {
			head, stack, _ := strings.Cut(g, "\n")
			id, _, _ := strings.Cut(head, " [") // what it waits for may change
			all = append(all, id+"\n\t\t"+strings.ReplaceAll(strings.TrimSpace(stack), "\n", "\n\t\t"))
		}
	}
	return all
}

func lasting(stack string) bool {
	for _, s := range []string{
		"created by github.com/fb2d3dbd/multiproc/internal/child.theStarter", // the thread that starts processes
		"created by os/signal.", // the runtime's watch for signals
	} {
		if strings.Contains(stack, s) {
			return true
		}
	}
	return false
}

// ownSegments lists the named segments in dir that this run has made.
func ownSegments(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var all []string
	for _, e := range entries {
		if strings.Contains(e.Name(), runID) {
			all = append(all, dir+"/"+e.Name())
		}
	}
	return all
}
