package manager

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// named has what the program has registered under names: updates, orders, functions, types of pools.
type named[V any] struct {
	what string // they are, for who registers two under one name
	mu   sync.RWMutex
	m    map[string]V
}

func newNamed[V any](what string) *named[V] { return &named[V]{what: what, m: map[string]V{}} }

// add registers v, and panics if the name is another's.
func (n *named[V]) add(name string, v V) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, have := n.m[name]; have {
		panic(fmt.Sprintf("manager: two %s are called %q", n.what, name))
	}
	n.m[name] = v
}

func (n *named[V]) find(name string) (V, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	v, ok := n.m[name]
	return v, ok
}

// names says which names there are.
func (n *named[V]) names() string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return listed(slices.Sorted(maps.Keys(n.m)))
}

// listed is a list of names for an error.
func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
