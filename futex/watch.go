package futex

import (
	"slices"
)

// A Watcher is what a [Participants] may be besides: one that can say at once when a participant has died. A
// *shm.Segment is one. Without it a death is found out after a slice of at most 50 ms.
type Watcher interface {
	// Watch arranges that fn is called once, on a goroutine of its own, soon after the participant may have died. It is a
	// hint to ask Alive, and may never come. stop undoes it; a call that has begun goes on.
	Watch(token uint32, fn func()) (stop func())
}

// watching is the set of participants that somebody who sleeps has asked to hear of. The zero value watches nobody.
type watching struct {
	tokens []uint32
	stops  []func()
}

// set makes tokens the watched ones. fn is called when one of them may have died.
func (w *watching) set(who Participants, tokens []uint32, fn func()) {
	if slices.Equal(tokens, w.tokens) {
		return
	}
	by, ok := who.(Watcher)
	if !ok {
		return
	}
	old := *w
	w.tokens, w.stops = slices.Clone(tokens), make([]func(), len(tokens))
	for i, tok := range tokens {
		if k := slices.Index(old.tokens, tok); k >= 0 && old.stops[k] != nil {
			w.stops[i], old.stops[k] = old.stops[k], nil
			continue
		}
		if tok != 0 {
			w.stops[i] = by.Watch(tok, fn)
		}
	}
	old.stop()
}

func (w *watching) stop() {
	for _, stop := range w.stops {
		if stop != nil {
			stop()
		}
	}
	*w = watching{}
}
