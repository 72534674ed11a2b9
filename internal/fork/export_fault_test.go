//go:build fault

package fork

import "syscall"

// Inject makes the nth call of a step fail, in this process or its copy: with an errno, or with death where it is 0. "" is no step.
func Inject(name string, nth int, errno syscall.Errno) {
	injected.step = stepNone
	for s, n := range stepNames {
		if n == name {
			injected.step = step(s)
		}
	}
	injected.nth, injected.errno = nth, errno
}

// Steps lists the names of the steps.
func Steps() []string { return stepNames[1:] }
