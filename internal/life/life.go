// Package life knows when this process has become another: in the child of a fork, which has its parent's memory, descriptors and
// goroutines, and is none of its participants.
//
// What runs in the background on behalf of this module, and acts in shared memory, does so behind [Gate]; a fork waits until nobody is
// behind it. In the child [Forked] comes first: it raises the count, by which handles that remember who this process is find
// out, and has every package take care of what it has inherited.
package life

import (
	"errors"
	"sync"
	"sync/atomic"
)

var count atomic.Uint32

// Count returns how many forks lie between this process and the start of its program.
func Count() uint32 { return count.Load() }

// Gate is held for reading by what acts in the background with this process's identity, and for writing during a fork, in the child until it
// has an identity of its own.
var Gate sync.RWMutex

var (
	mu         sync.Mutex
	hooks      [stages][]func() error
	background []string
)

// A Stage says when a function of [OnFork] is called. Those of one stage are called in any order.
type Stage int

// The stages.
const (
	Processes Stage = iota // what the parent has of other processes is let go
	Memory                 // shared memory is joined
	Objects                // objects in it are

	stages
)

// OnFork has fn called in the child of every fork, before anything of the caller's runs there.
func OnFork(s Stage, fn func() error) {
	mu.Lock()
	defer mu.Unlock()
	hooks[s] = append(hooks[s], fn)
}

// Background declares that a goroutine which runs this function, named as in a stack trace and without the module's path, does no harm during
// a fork: its copy in the child does nothing that the parent's does.
func Background(function string) {
	mu.Lock()
	defer mu.Unlock()
	background = append(background, module+function+"(")
}

const module = "github.com/fb2d3dbd/multiproc/"

// BackgroundFunctions lists what was declared, as it stands in stack traces.
func BackgroundFunctions() []string {
	mu.Lock()
	defer mu.Unlock()
	return append([]string(nil), background...)
}

// Forked is called in the child of a fork, before anything else, with Gate held.
func Forked() error {
	count.Add(1)
	mu.Lock()
	all := hooks
	mu.Unlock()
	var errs []error
	for _, stage := range all {
		for _, fn := range stage {
			errs = append(errs, fn())
		}
	}
	return errors.Join(errs...)
}
