package fork_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/fork"
)

func TestBusy(t *testing.T) {
	fork.AllowGoroutine("created by example.com/allowed.start")
	const (
		caller  = "goroutine 1 [running]:\nmain.main()\n\t/x.go:1 +0x1\n\n"
		signals = "goroutine 5 [syscall]:\nos/signal.signal_recv()\n\t/x.go:1 +0x1\nos/signal.loop()\n\t/x.go:1 +0x1\ncreated by os/signal.Notify.func1.1 in goroutine 1\n\t/x.go:1 +0x1\n\n"
		worker  = "goroutine 7 [GC worker (idle)]:\nruntime.gcBgMarkWorker()\n\t/x.go:1 +0x1\ncreated by runtime.gcBgMarkStartWorkers in goroutine 1\n\t/x.go:1 +0x1\n\n"
		final   = "goroutine 8 [running]:\nmain.final()\n\t/x.go:1 +0x1\nruntime.runFinalizers()\n\t/x.go:1\ncreated by runtime.createfing in goroutine 1\n\t/x.go:1 +0x1\n\n"
		allowed = "goroutine 9 [chan receive]:\nx.y()\n\t/x.go:1 +0x1\ncreated by example.com/allowed.start in goroutine 1\n\t/x.go:1 +0x1\n\n"
		user    = "goroutine 10 [select]:\nmain.serve(...)\n\t/x.go:1\ncreated by main.main in goroutine 1\n\t/x.go:1 +0x1\n"
	)
	if got := fork.Busy(caller + signals + worker + allowed); len(got) != 0 {
		t.Errorf("busy with %q", got)
	}
	got := fork.Busy(caller + signals + final + allowed + worker + user)
	if len(got) != 2 || !strings.HasPrefix(got[0], "goroutine 8") || !strings.HasPrefix(got[1], "goroutine 10") {
		t.Errorf("busy with %q", got)
	}
	text := (&fork.BusyError{Goroutines: got}).Error()
	for _, part := range []string{"2 other goroutines", "goroutine 10 [select] main.serve(...), created by main.main"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not say %q", text, part)
		}
	}
}

// Where nothing can be forked, everything says so in the same way.
func TestUnsupported(t *testing.T) {
	err := fork.Available()
	if err == nil {
		t.Skip("it is supported here")
	}
	var fact *fork.FactError
	if !errors.Is(err, errors.ErrUnsupported) || !errors.As(err, &fact) {
		t.Errorf("%v", err)
	}
	_, _, e1 := fork.Fork(fork.Options{}, func() int { return 0 })
	_, e2 := fork.Freeze(fork.FreezeOptions{})
	if !errors.Is(e1, errors.ErrUnsupported) || !errors.Is(e2, errors.ErrUnsupported) {
		t.Errorf("%v, %v", e1, e2)
	}
}
