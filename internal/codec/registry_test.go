package codec

import (
	"strings"
	"sync"
	"testing"
)

func panics(t *testing.T, f func(), message string) {
	t.Helper()
	defer func() {
		if s, _ := recover().(string); !strings.Contains(s, message) {
			t.Errorf("panic %q, want %q", s, message)
		}
	}()
	f()
}

func registerLocal1() {
	type local struct{ A int }
	Register[local]()
	Register[local]()
}

func registerLocal2() {
	type local struct{ B int }
	Register[local]()
}

type late struct{ A int }

// beforeRegister is what Append says of a type that is not registered yet: once in a process, however often the tests run in it.
var beforeRegister = sync.OnceValue(func() error {
	v := any(late{1})
	_, err := Append(nil, &v, nil)
	return err
})

func TestRegister(t *testing.T) {
	registerLocal1()
	panics(t, registerLocal2, "two types have the name github.com/fb2d3dbd/multiproc/internal/codec.local")
	panics(t, Register[struct{ A int }], "cannot register struct { A int }, which has no name")
	panics(t, Register[[]func()], "cannot register func(), which has no name")
	Register[int]()
	Register[any]()
	Register[error]()
	Register[[]any]()

	v := any(late{1})
	if beforeRegister() == nil {
		t.Error("Append succeeded before Register")
	}
	Register[map[string]*late]()
	same(v)(t)
	same(any([]*late{{2}}))(t)
}

func TestConcurrentUse(t *testing.T) {
	type fresh struct {
		Job  *Job
		Any  any
		More []pair[int, *tree]
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			Register[fresh]()
			for range 50 {
				job := fullJob()
				same(any(&fresh{&job, []pair[string, point]{{}}, []pair[int, *tree]{{1, &tree{}}}}))(t)
			}
		})
	}
	wg.Wait()
}
