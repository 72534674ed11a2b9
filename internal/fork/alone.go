package fork

import (
	"runtime"
	"strings"
	"time"
)

// alone returns a [BusyError] unless the caller is the only goroutine of the program, but for those that mind nothing. One that was heard of for the last time may not
// have come to its end yet: they get some 100 ms.
func alone() error {
	for nap := 20 * time.Microsecond; ; nap *= 2 {
		others := busy(stacks())
		if len(others) == 0 {
			return nil
		}
		if nap > 60*time.Millisecond {
			return &BusyError{others}
		}
		time.Sleep(nap)
	}
}

func stacks() string {
	for buf := make([]byte, 1<<16); ; buf = make([]byte, 2*len(buf)) {
		if n := runtime.Stack(buf, true); n < len(buf) {
			return string(buf[:n])
		}
	}
}

// busy lists the stacks but the first, which is the caller's, and those of goroutines that may run.
func busy(all string) (list []string) {
	registry.Lock()
	allowed := registry.allowed
	registry.Unlock()
	_, others, _ := strings.Cut(all, "\n\n")
next:
	for g := range strings.SplitSeq(others, "\n\n") {
		g = strings.TrimSpace(g)
		if g == "" || strings.Contains(g, "\nos/signal.loop(") || runtimeOwn(g) {
			continue
		}
		for _, part := range allowed {
			if strings.Contains(g, part) {
				continue next
			}
		}
		list = append(list, g)
	}
	return list
}

// runtimeOwn reports whether all of a stack is the runtime's, as that of its garbage collector; GOTRACEBACK=system shows those.
func runtimeOwn(g string) bool {
	_, frames, _ := strings.Cut(g, "\n")
	for line := range strings.Lines(frames) {
		if !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, "runtime.") && !strings.HasPrefix(line, "created by runtime.") {
			return false
		}
	}
	return true
}
