package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/selfsigned"
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
			Doc: what + fmt.Sprintf(" of %d keys in a server process, by one that waits for each answer: over rings in shared memory, over a unix socket, over TLS on this machine, or by CPython's Manager; "+
				"goroutine is a map with a lock", dictKeys),
			Long: set,
			Impls: least(2000,
				managerDict("multiproc", overRings, set), managerDict("multiproc-unix", overUnix, set), managerDict("multiproc-tls", overTLS, set), goroutineDict(set),
				cpythonImpl("manager_dict", dictKeys, flag(set))),
		})
	}
	return append(all, Scenario{
		Name: fmt.Sprintf("manager/clients-%d", manyClients),
		Doc: fmt.Sprintf("1 added to a value of a dictionary in a server process by a get and a set, by %d processes at once, each with a key of its own: how a server bears many clients; "+
			"goroutine is a map with a lock", manyClients),
		Impls: least(20*manyClients,
			managerClients("multiproc", overRings), managerClients("multiproc-unix", overUnix), managerClients("multiproc-tls", overTLS), goroutineClients(),
			cpythonImpl("manager_clients", manyClients)),
		Long: true,
	})
}

// least makes the first trial of each implementation one of n operations: a server is only as fast as usual when it has been asked for a while.
func least(n int, all ...Impl) []Impl {
	for i := range all {
		all[i].Least = n
	}
	return all
}

// manyClients is how many processes use one server at a time.
const manyClients = 64

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func managerDict(name string, start startServer, set bool) Impl {
	im := multiprocImpl(func(ctx context.Context, n int) (_ time.Duration, err error) {
		m, err := start(ctx)
		if err != nil {
			return 0, err
		}
		defer m.end(&err)
		d, err := manager.NewDict[string, int64](ctx, m.Manager, nil)
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

// startServer starts a server in a process of its own, and connects to it in one of the ways.
type startServer func(ctx context.Context) (*server, error)

// A server is one, and the connection to it that is measured, which may not be that by which it was started.
type server struct {
	*manager.Manager
	owner *manager.Manager
	tls   tlsAddress
}

// end ends the server, whose error is that of the sample if it had none.
func (s *server) end(err *error) {
	if s.Manager != s.owner {
		_ = s.Manager.Close()
	}
	if e := s.owner.Close(); *err == nil {
		*err = e
	}
}

func overRings(ctx context.Context) (*server, error) { return overNetwork(ctx, "ring") }
func overUnix(ctx context.Context) (*server, error)  { return overNetwork(ctx, "unix") }

func overNetwork(ctx context.Context, network string) (*server, error) {
	m, err := manager.Start(ctx, &manager.Options{Network: network})
	return &server{Manager: m, owner: m}, err
}

// A tlsAddress is where a server listens for TLS, and what its clients need.
type tlsAddress struct {
	Address          string
	Certificate, Key []byte
}

// tlsServer has the server listen on TCP with a certificate of its own, and puts where under a name.
var tlsServer = manager.NewSetup("bench.tls", func(ctx context.Context, s *manager.Server, _ struct{}) error {
	config, err := selfsigned.Config()
	if err != nil {
		return err
	}
	a, err := s.ListenTLS("tcp", "localhost:0", config)
	if err != nil {
		return err
	}
	m, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	_, err = manager.NewValue(ctx, m, &manager.ObjectOptions{Name: "tls"}, tlsAddress{a.String(), config.Certificates[0].Certificate[0], s.Key()})
	return err
})

func overTLS(ctx context.Context) (*server, error) {
	owner, err := tlsServer.Start(ctx, struct{}{}, nil)
	if err != nil {
		return nil, err
	}
	s := &server{owner: owner}
	v, err := manager.NewValue(ctx, owner, &manager.ObjectOptions{Name: "tls", Existing: true}, tlsAddress{})
	if err == nil {
		s.tls, err = v.Get(ctx)
	}
	if err == nil {
		s.Manager, err = s.tls.dial(ctx)
	}
	if err != nil {
		s.Manager = owner
		s.end(&err)
		return nil, err
	}
	return s, nil
}

func (a tlsAddress) dial(ctx context.Context) (*manager.Manager, error) {
	config, err := selfsigned.Client(a.Certificate)
	if err != nil {
		return nil, err
	}
	return manager.Dial(ctx, "tcp", a.Address, &manager.DialOptions{Key: a.Key, TLS: config})
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

// A clientArg is what each of many clients gets: the dictionary, or over TLS how to connect, which a proxy does not take along.
type clientArg struct {
	Dict *manager.Dict[string, int64]
	TLS  tlsAddress
}

var clientTarget = multiproc.NewTarget("bench.manager-client", func(ctx context.Context, m member[clientArg]) (err error) {
	d := m.Arg.Dict
	if d == nil {
		mgr, err := m.Arg.TLS.dial(ctx)
		if err != nil {
			return err
		}
		defer mgr.Close()
		if d, err = manager.NewDict[string, int64](ctx, mgr, &manager.ObjectOptions{Name: "clients", Existing: true}); err != nil {
			return err
		}
	}
	key, mine := fmt.Sprintf("key-%d", m.Me), m.share()
	if err := d.Set(ctx, key, 0); err != nil {
		return err
	}
	if err := m.start(ctx); err != nil {
		return err
	}
	for range mine {
		v, err := d.Get(ctx, key)
		if err == nil {
			err = d.Set(ctx, key, v+1)
		}
		if err != nil {
			return err
		}
	}
	v, err := d.Get(ctx, key)
	if err != nil {
		return err
	}
	return m.done(ctx, mine, uint64(v))
})

func managerClients(name string, start startServer) Impl {
	im := multiprocTurns(func(ctx context.Context, n int) (_ time.Duration, _ []int, err error) {
		m, err := start(ctx)
		if err != nil {
			return 0, nil, err
		}
		defer m.end(&err)
		d, err := manager.NewDict[string, int64](ctx, m.owner, &manager.ObjectOptions{Name: "clients"})
		if err != nil {
			return 0, nil, err
		}
		arg := clientArg{Dict: d}
		if m.tls.Address != "" {
			arg = clientArg{TLS: m.tls}
		}
		elapsed, total, err := runCrew(ctx, clientTarget, n, manyClients, arg)
		if err != nil {
			return 0, nil, err
		}
		return elapsed, nil, counterShows(total.Sum, n)
	})
	im.Name = name
	return im
}

func goroutineClients() Impl {
	return goroutineImpl(func(ctx context.Context, n int) (time.Duration, error) {
		var mu sync.Mutex
		m := make(map[string]int64)
		var bodies []func(ctx context.Context) error
		for c := range manyClients {
			bodies = append(bodies, func(ctx context.Context) error {
				key := fmt.Sprintf("key-%d", c)
				for i := range shareOf(n, manyClients, c) {
					mu.Lock()
					v := m[key]
					mu.Unlock()
					mu.Lock()
					m[key] = v + 1
					mu.Unlock()
					if i%checkEvery == 0 && ctx.Err() != nil {
						return stopped(ctx)
					}
				}
				return nil
			})
		}
		elapsed, err := together(ctx, bodies...)
		if err != nil {
			return 0, err
		}
		var sum int64
		for _, v := range m {
			sum += v
		}
		return elapsed, counterShows(uint64(sum), n)
	})
}
