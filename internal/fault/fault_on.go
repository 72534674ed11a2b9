//go:build fault && unix

// Package fault names the instants at which a crash test kills or stops a process. In a normal build a [Point] is
// nothing and costs nothing; in a build with the tag "fault" it obeys the environment variable MULTIPROC_FAULT, or what
// [Arm] was given: "kill:NAME:K" kills the process with SIGKILL the K-th time it passes point NAME (K from 1), "stop:NAME:K" stops it
// there, and "list" only records the points passed.
package fault

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Enabled reports whether this build has crash points.
const Enabled = true

type order struct {
	signal syscall.Signal
	point  string
	nth    int64
}

var (
	armed  atomic.Pointer[order]
	passes atomic.Int64 // of the armed point
	seen   sync.Map     // names of the points passed
	notice atomic.Pointer[func(point string)]
	follow atomic.Pointer[func(point string)]
)

func init() {
	if s := os.Getenv("MULTIPROC_FAULT"); s != "" && s != "list" {
		if err := Arm(s); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
}

// Arm sets what happens at which point, in the form of MULTIPROC_FAULT; "" disarms.
func Arm(s string) error {
	if s == "" {
		armed.Store(nil)
		return nil
	}
	f := strings.Split(s, ":")
	if len(f) != 3 || (f[0] != "kill" && f[0] != "stop") {
		return fmt.Errorf("fault: %q is not kill:NAME:K or stop:NAME:K", s)
	}
	n, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil || n < 1 {
		return fmt.Errorf("fault: %q: the count must be a whole number from 1", s)
	}
	o := &order{signal: syscall.SIGKILL, point: f[1], nth: n}
	if f[0] == "stop" {
		o.signal = syscall.SIGSTOP
	}
	passes.Store(0)
	armed.Store(o)
	return nil
}

// Notice has fn called with the name of the point at which the process is about to be killed or stopped, so that it can leave a
// note of where, and when.
func Notice(fn func(point string)) { notice.Store(&fn) }

// Follow has fn called with the name of each point that is passed, before anything else happens there.
func Follow(fn func(point string)) { follow.Store(&fn) }

// Point is a named instant between two accesses to shared memory.
func Point(name string) {
	if _, ok := seen.Load(name); !ok {
		seen.Store(name, true)
	}
	if fn := follow.Load(); fn != nil {
		(*fn)(name)
	}
	o := armed.Load()
	if o == nil || o.point != name || passes.Add(1) != o.nth {
		return
	}
	if fn := notice.Load(); fn != nil {
		(*fn)(name)
	}
	raise(o.signal) // a SIGKILL to oneself does not return; a SIGSTOP returns after SIGCONT
}

// Seen lists the points passed so far.
func Seen() []string {
	var names []string
	seen.Range(func(k, _ any) bool { names = append(names, k.(string)); return true })
	sort.Strings(names)
	return names
}
