package proctest

import (
	"context"
	"testing"
	"time"
)

// patience is what a test waits for something that must happen, and normally happens at once.
const patience = 2 * time.Minute

// Context returns a context whose deadline no healthy test reaches, on however loaded a machine.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// Eventually returns when cond holds, and fails the test when it does not for a long time. what says what should have happened.
func Eventually(t testing.TB, cond func() bool, what string) {
	t.Helper()
	if !poll(cond) {
		t.Fatalf("did not happen within %v: %s", patience, what)
	}
}

func poll(cond func() bool) bool {
	nap := 100 * time.Microsecond
	for end := time.Now().Add(patience); !cond(); time.Sleep(nap) {
		if time.Now().After(end) {
			return false
		}
		nap = min(2*nap, 10*time.Millisecond)
	}
	return true
}
