// Package child is what a parent and its child agree on: which functions a child can run, how their arguments travel, and
// the mailbox in which the parent leaves the child's instructions and finds the child's last words.
package child

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Run calls a target with its encoded argument.
type Run func(ctx context.Context, arg []byte) error

var (
	mu      sync.Mutex
	targets = map[string]Run{}
	sealed  bool

	services = map[string]func(arg []byte, extra int) error{}
)

// ErrUnknownTarget says that the program in the child has no target of this name.
var ErrUnknownTarget = errors.New("unknown target")

// Register makes run known under name; late reports that the registry was sealed already. Registering a name twice panics, as with two flags of a
// name: it is a mistake in the program.
func Register(name string, run Run) (late bool) {
	mu.Lock()
	defer mu.Unlock()
	if name == "" {
		panic("multiproc: a target needs a name")
	}
	if _, ok := targets[name]; ok {
		panic(fmt.Sprintf("multiproc: two targets are registered under the name %q", name))
	}
	targets[name] = run
	return sealed
}

// Seal marks the end of package initialisation: what is registered later does not exist in a child.
func Seal() {
	mu.Lock()
	defer mu.Unlock()
	sealed = true
}

// Find returns the target of this name.
func Find(name string) (Run, error) {
	mu.Lock()
	defer mu.Unlock()
	if run, ok := targets[name]; ok {
		return run, nil
	}
	return nil, fmt.Errorf("%w %q: register it in a package-level variable, so that it exists in the child before main runs", ErrUnknownTarget, name)
}

// Service makes run known under a name that no target can have: what a process does that is there for the module itself. It runs on the main
// goroutine; arg is the call's, and the descriptors that were passed to it begin at extra.
func Service(name string, run func(arg []byte, extra int) error) {
	mu.Lock()
	defer mu.Unlock()
	services[serviceMark+name] = run
}

const serviceMark = "\x00"

// ServiceCall is the call that runs a service.
func ServiceCall(name string, arg []byte) *Call { return &Call{Target: serviceMark + name, Arg: arg} }

func findService(target string) func(arg []byte, extra int) error {
	mu.Lock()
	defer mu.Unlock()
	return services[target]
}
