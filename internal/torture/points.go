package torture

import (
	"math/rand/v2"
	"sync"
)

// Points are the crash points of a suite, and how often a process has died or stopped at each.
type Points struct {
	mu    sync.Mutex
	index map[string]int
	names []string
	hits  []int
	tries []int
}

// NewPoints makes a list of them.
func NewPoints(names []string) *Points {
	p := &Points{names: names, index: map[string]int{}, hits: make([]int, len(names)), tries: make([]int, len(names))}
	for i, n := range names {
		p.index[n] = i
	}
	return p
}

// Draw chooses one of those that may says are possible, the more likely the less it was tried, and those never hit first of all.
func (p *Points) Draw(rng *rand.Rand, may func(name string) bool) (name string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	weight := make([]float64, len(p.names))
	sum := 0.0
	for i, n := range p.names {
		if !may(n) {
			continue
		}
		weight[i] = 1 / float64(4+p.tries[i])
		if p.hits[i] == 0 {
			weight[i] *= 4
		}
		sum += weight[i]
	}
	at := rng.Float64() * sum
	for i, w := range weight {
		if at -= w; at < 0 && w > 0 {
			p.tries[i]++
			return p.names[i], true
		}
	}
	return "", false
}

// Hit notes a death or a stop at a point.
func (p *Points) Hit(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i, ok := p.index[name]; ok {
		p.hits[i]++
	}
}

// Len returns how many there are.
func (p *Points) Len() int { return len(p.names) }

// Missed returns those that nobody has died or stopped at.
func (p *Points) Missed() (names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, n := range p.hits {
		if n == 0 {
			names = append(names, p.names[i])
		}
	}
	return names
}

// Each calls fn with every point and its count.
func (p *Points) Each(fn func(name string, tries, hits int)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, n := range p.names {
		fn(n, p.tries[i], p.hits[i])
	}
}
