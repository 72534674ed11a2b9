package race_test

import (
	"sync/atomic"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/race"
)

// What a word in a mapping guards is handed over by the two edges; with the race tag the detector sees plain must not race.
func TestEdge(t *testing.T) {
	var plain int
	word := new(uint32)
	done := make(chan int)
	go func() {
		for atomic.LoadUint32(word) == 0 {
		}
		race.Acquire(word)
		done <- plain
	}()
	plain = 42
	race.Release(word)
	atomic.StoreUint32(word, 1)
	if got := <-done; got != 42 {
		t.Errorf("got %d", got)
	}
}
