package shm_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

// TestNoWriteAfterDeath: once others see that a participant is gone, nothing that still runs in its process writes to the
// segment: what they mend then stays mended.
//
// Red when Close leaves the table before it takes the mapping away.
func TestNoWriteAfterDeath(t *testing.T) {
	rounds := 300
	if testing.Short() || runtime.GOMAXPROCS(0) == 1 { // alone on a processor, the late writer runs in slices of 10 ms
		rounds = 10
	}
	s := newSegment(t, &shm.Options{Size: 64, Participants: 8})
	word := wordOf(s.Bytes())
	for range rounds {
		leaver := again(t, s)
		tok := leaver.Self()
		theirs := wordOf(leaver.Bytes())
		var stop atomic.Bool
		var wrote atomic.Uint64
		ended := make(chan struct{})
		go func() { // a late writer: it has the slice, and does not look whether the segment is closed
			defer close(ended)
			for !stop.Load() {
				atomic.AddUint64(theirs, 1)
				wrote.Add(1)
			}
		}()
		proctest.Eventually(t, func() bool { return wrote.Load() > 0 }, "the late writer writes")
		closed := make(chan error, 1)
		go func() { closed <- leaver.Close() }()
		for s.Alive(tok) {
			runtime.Gosched()
		}
		atDeath := atomic.LoadUint64(word)
		ok(t, <-closed)
		more := wrote.Load()
		proctest.Eventually(t, func() bool { return wrote.Load() > more }, "the late writer goes on")
		if now := atomic.LoadUint64(word); now != atDeath {
			t.Fatalf("the segment was written to %d times after the death of the writer was proven", now-atDeath)
		}
		stop.Store(true)
		<-ended
		for _, p := range s.Participants() {
			if p.Token == tok {
				t.Fatal("who has left is listed among the participants")
			}
		}
	}
}
