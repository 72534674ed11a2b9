package manager_test

import (
	"os"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
)

// methodVariable says by which start method the processes of a run of the tests are started; TestEveryMethod has a run for each.
const methodVariable = "MULTIPROC_TEST_METHOD"

func TestMain(m *testing.M) { proctest.Main(m, setMethod) }

func setMethod() {
	if method := os.Getenv(methodVariable); method != "" {
		if err := multiproc.SetStartMethod(multiproc.StartMethod(method)); err != nil {
			panic(err)
		}
	}
}

// start starts a server in a process of its own, which ends with the test.
func start(t testing.TB, o *manager.Options) *manager.Manager {
	t.Helper()
	m, err := manager.Start(proctest.Context(t), options(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// options allows what a test needs to fork: the goroutines of package testing.
func options(o *manager.Options) *manager.Options {
	var c manager.Options
	if o != nil {
		c = *o
	}
	if c.Process == nil {
		c.Process = process
	}
	return &c
}

var process = &multiproc.ProcessOptions{AllowForkall: true}

// networks calls fn with a Manager for each way to talk to a server on this machine.
func networks(t *testing.T, fn func(t *testing.T, m *manager.Manager)) {
	for _, network := range []string{"ring", "unix"} {
		t.Run(network, func(t *testing.T) { fn(t, start(t, &manager.Options{Network: network})) })
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
