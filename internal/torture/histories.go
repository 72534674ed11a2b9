package torture

import "sync"

// Histories is the History of a round, for the goroutines that follow its victims.
type Histories struct {
	mu sync.Mutex
	h  History
}

func (h *Histories) bury(b *Books, d Death, v Verdict) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b.Bury(d, v, &h.h)
}

// Bury reckons up a process that did not die, as the survivors do at the end of a round.
func (h *Histories) Bury(b *Books, d Death) { h.bury(b, d, nil) }
