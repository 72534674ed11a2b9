package futex_test

import (
	"context"
	"testing"

	"github.com/fb2d3dbd/multiproc/futex"
)

func TestEvent(t *testing.T) {
	var all folk
	mem := make([]byte, futex.EventSize)
	a := must(futex.NewEvent(mem, all.one(1)))(t)
	b := must(futex.NewEvent(mem, all.one(2)))(t)
	isSet := func(e *futex.Event, is bool) {
		t.Helper()
		if got := must(e.IsSet())(t); got != is {
			t.Fatalf("IsSet returned %v", got)
		}
	}
	isSet(a, false)
	want(t, a.Wait(ended()), context.Canceled)
	var waits []<-chan error
	for range 4 {
		waits = append(waits, waiting(func() error { return a.Wait(context.Background()) }))
	}
	ok(t, b.Set())
	isSet(a, true)
	for _, w := range waits {
		ok(t, result(t, w))
	}
	ok(t, a.Wait(ended()))
	ok(t, a.Set())
	ok(t, a.Clear())
	ok(t, a.Clear())
	isSet(b, false)
	want(t, b.Wait(ended()), context.Canceled)
}

// A Set that is followed by a Clear at once wakes all who waited.
func TestEventPulse(t *testing.T) {
	mem := make([]byte, futex.EventSize)
	e := must(futex.NewEvent(mem, futex.Local{}))(t)
	for range 200 {
		var waits []<-chan error
		for range 3 {
			began := make(chan bool)
			waits = append(waits, waiting(func() error {
				close(began)
				return e.Wait(context.Background())
			}))
			<-began
		}
		eventually(t, "all return", func() bool {
			ok(t, e.Set())
			ok(t, e.Clear())
			for _, w := range waits {
				if len(w) == 0 {
					return false
				}
			}
			return true
		})
		for _, w := range waits {
			ok(t, result(t, w))
		}
	}
}
