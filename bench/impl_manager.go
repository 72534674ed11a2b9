package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc/manager"
)

// dictKeys is how many keys the dictionaries of the comparison have.
const dictKeys = 64

// managerScenarios are of a dictionary in a server process, one call after the other.
func managerScenarios() []Scenario {
	var all []Scenario
	for _, set := range []bool{false, true} {
		name, what := "get", "one value taken from a dictionary"
		if set {
			name, what = "set", "one value put into a dictionary"
		}
		all = append(all, Scenario{
			Name: "manager/dict-" + name,
			Doc: what + fmt.Sprintf(" of %d keys in a server process, by one that waits for each answer: over rings in shared memory, over a unix socket, or by CPython's Manager; "+
				"goroutine is a map with a lock", dictKeys),
			Long:  set,
			Impls: []Impl{managerDict("multiproc", "ring", set), managerDict("multiproc-unix", "unix", set), goroutineDict(set), cpythonImpl("manager_dict", dictKeys, flag(set))},
		})
	}
	return all
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func managerDict(name, network string, set bool) Impl {
	im := multiprocImpl(func(ctx context.Context, n int) (_ time.Duration, err error) {
		m, err := manager.Start(ctx, &manager.Options{Network: network})
		if err != nil {
			return 0, err
		}
		defer func() {
			if e := m.Close(); err == nil {
				err = e
			}
		}()
		d, err := manager.NewDict[string, int64](ctx, m, nil)
		if err != nil {
			return 0, err
		}
		return inDict(ctx, n, set,
			func(key string) (int64, error) { return d.Get(ctx, key) },
			func(key string, v int64) error { return d.Set(ctx, key, v) })
	})
	im.Name = name
	return im
}

// inDict gets n values or sets them, one after the other, having set all once.
func inDict(ctx context.Context, n int, sets bool, get func(key string) (int64, error), set func(key string, v int64) error) (time.Duration, error) {
	keys := make([]string, dictKeys)
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%d", i)
		if err := set(keys[i], int64(i)); err != nil {
			return 0, err
		}
	}
	begin := time.Now()
	for i := range n {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		at := i % dictKeys
		if sets {
			if err := set(keys[at], int64(at)); err != nil {
				return 0, err
			}
			continue
		}
		if err := hasValue(keys[at], at, get); err != nil {
			return 0, err
		}
	}
	elapsed := time.Since(begin)
	for i, key := range keys {
		if err := hasValue(key, i, get); err != nil {
			return 0, err
		}
	}
	return elapsed, nil
}

func hasValue(key string, want int, get func(key string) (int64, error)) error {
	v, err := get(key)
	if err == nil && v != int64(want) {
		err = fmt.Errorf("the value of %s is %d instead of %d", key, v, want)
	}
	return err
}

// goroutineDict is what a Go programmer has within one process.
func goroutineDict(set bool) Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		var mu sync.Mutex
		m := make(map[string]int64)
		return inDict(ctx, n, set,
			func(key string) (int64, error) {
				mu.Lock()
				defer mu.Unlock()
				return m[key], nil
			},
			func(key string, v int64) error {
				mu.Lock()
				defer mu.Unlock()
				m[key] = v
				return nil
			})
	})
}
