package proctest

import (
	"os"
	"os/signal"
	"testing"
)

// Heeds skips a test that needs signals which this process, and so those that it starts, were told to ignore by who started it: nohup does so, and a shell of what it runs in the background.
func Heeds(t testing.TB, sigs ...os.Signal) {
	t.Helper()
	for _, s := range sigs {
		if signal.Ignored(s) {
			t.Skipf("this process was started with the signal %v ignored", s)
		}
	}
}
