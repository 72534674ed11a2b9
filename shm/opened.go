package shm

import (
	"errors"
	"fmt"
	"sync"
)

// The segments that this process has open, by id: how a Ref that arrives finds its memory.
var (
	openMu   sync.Mutex
	openByID = map[uint64]*Segment{}
	openAll  = map[*Segment]struct{}{} // those that were opened more than once too
	standard *Segment                  // what Default returns, or nil
)

func remember(s *Segment) {
	openMu.Lock()
	defer openMu.Unlock()
	openAll[s] = struct{}{}
	if _, ok := openByID[s.id]; !ok {
		openByID[s.id] = s
	}
}

func forget(s *Segment) {
	openMu.Lock()
	defer openMu.Unlock()
	delete(openAll, s)
	if openByID[s.id] == s {
		delete(openByID, s.id)
		for other := range openAll {
			if other.id == s.id {
				openByID[s.id] = other
				break
			}
		}
	}
	if standard == s {
		standard = nil
	}
}

// Lookup returns the open segment with this id.
func Lookup(id uint64) (*Segment, error) {
	openMu.Lock()
	defer openMu.Unlock()
	if s, ok := openByID[id]; ok {
		return s, nil
	}
	return nil, fmt.Errorf("shm: segment %#x is not open in this process; a process gets it by a handle in its start arguments, or by shm.Open", id)
}

// Default returns the segment that this process shares with its descendants: its parent's, or else one that is made
// now. A child joins it when it is started.
func Default() (*Segment, error) {
	openMu.Lock()
	s := standard
	openMu.Unlock()
	if s != nil {
		return s, nil
	}
	made, err := New(&Options{Arena: defaultArena})
	for n := defaultArena / 4; err != nil && n >= 64<<20 && !errors.Is(err, errors.ErrUnsupported); n /= 4 {
		made, err = New(&Options{Arena: n}) // address space may be limited
	}
	if err != nil {
		return nil, err
	}
	openMu.Lock()
	if standard == nil {
		standard = made
	}
	s = standard
	openMu.Unlock()
	if s != made {
		made.Close()
	}
	return s, nil
}

// defaultArena is address space, not memory: pages are taken when they are touched.
const defaultArena = 16 << (20 + 10*(^uint(0)>>63)) // 16 GiB, or 16 MiB with 32-bit words

// PeekDefault returns the segment that Default would return, or nil if it is not made yet.
func PeekDefault() *Segment {
	openMu.Lock()
	defer openMu.Unlock()
	return standard
}

// SetDefault makes s the segment that [Default] returns.
func SetDefault(s *Segment) {
	openMu.Lock()
	defer openMu.Unlock()
	standard = s
}
