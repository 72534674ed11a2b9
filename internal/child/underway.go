package child

import (
	"slices"
	"sync"
	"sync/atomic"
)

// A launch is a call of Start under way.
type launch struct{ over atomic.Bool }

var launches sync.Map // *launch → nothing

// Underway returns nil if no child of this process is on its way, and else a function that reports whether one of those that are now still is. Children
// that are started later do not count.
func Underway() (still func() bool) {
	var calls []*launch
	launches.Range(func(k, _ any) bool {
		calls = append(calls, k.(*launch))
		return true
	})
	coming := unready() // after the calls: a child is listed before its call is over
	if len(calls)+len(coming) == 0 {
		return nil
	}
	return func() bool {
		if len(calls) > 0 {
			if slices.ContainsFunc(calls, func(l *launch) bool { return !l.over.Load() }) {
				return true
			}
			calls, coming = nil, unready() // what came of the calls is among them
		}
		coming = slices.DeleteFunc(coming, func(p *Process) bool { return !p.coming() })
		return len(coming) > 0
	}
}

// unready lists the children that do not yet have their arguments.
func unready() (all []*Process) {
	children.Range(func(k, _ any) bool {
		if p := k.(*Process); p.coming() {
			all = append(all, p)
		}
		return true
	})
	return all
}

// coming reports whether the process lives and does not yet have its argument.
func (p *Process) coming() bool {
	select {
	case <-p.done:
		return false
	default:
	}
	if p.service || p.ready.Load() {
		return false
	}
	ready := IsReady(p.mail)
	p.ready.Store(ready)
	return !ready
}
