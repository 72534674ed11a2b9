//go:build unix

package conn_test

import (
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// Signals that arrive while somebody waits end no wait.
func TestPollUnderSignals(t *testing.T) {
	each(t, func(t *testing.T, a, b *conn.Conn) {
		ctx := proctest.Context(t)
		got := make(chan os.Signal, 1)
		signal.Notify(got, syscall.SIGUSR1)
		defer signal.Stop(got)
		polled := make(chan error, 1)
		go func() { polled <- b.Poll(ctx) }()
		for range 20 {
			check(t, syscall.Kill(os.Getpid(), syscall.SIGUSR1))
			<-got
		}
		select {
		case err := <-polled:
			t.Fatalf("a signal ended the wait: %v", err)
		default:
		}
		check(t, a.SendBytes(ctx, nil))
		check(t, <-polled)
	})
}
