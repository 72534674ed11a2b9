package torture

import (
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// A Kind of trouble.
type Kind int

// Kinds.
const (
	Lost Kind = iota
	Duplicated
	Corrupt
	Disorder
	Hung
	Failed // the run itself did not work
)

func (k Kind) String() string {
	return [...]string{"lost", "duplicated", "corrupt", "out of order", "hung", "failed"}[k]
}

// A Result is the line that a run ends with.
type Result struct {
	Suite       string  `json:"suite"`
	Kills       int     `json:"kills"`
	Critical    int     `json:"critical"`
	Points      int     `json:"points"`
	PointsHit   int     `json:"points_hit"`
	Messages    uint64  `json:"messages"`
	Redelivered uint64  `json:"redelivered"`
	Stops       int     `json:"stops"`
	Rounds      int     `json:"rounds"`
	Lost        int     `json:"lost"`
	Duplicated  int     `json:"duplicated"`
	Corrupt     int     `json:"corrupt"`
	Disorder    int     `json:"disorder"`
	Hung        int     `json:"hung"`
	Failed      int     `json:"failed"`
	Violations  int     `json:"violations"` // of exclusion, and the like
	Wakes       int     `json:"wakes"`
	MedianWake  float64 `json:"median_wake_ms"`
	MaxWake     float64 `json:"max_wake_ms"`
	Seconds     float64 `json:"seconds"`
}

// JSON returns the line without its end.
func (r Result) JSON() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // numbers and a name
	}
	return b
}

// Trouble reports whether something went wrong.
func (r Result) Trouble() bool {
	return r.Lost+r.Duplicated+r.Corrupt+r.Disorder+r.Hung+r.Failed+r.Violations > 0
}

// tally is the result so far.
type tally struct {
	mu    sync.Mutex
	r     Result
	wakes []time.Duration
}

func (t *tally) add(k Kind, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*[...]*int{&t.r.Lost, &t.r.Duplicated, &t.r.Corrupt, &t.r.Disorder, &t.r.Hung, &t.r.Failed}[k] += n
}

func (t *tally) change(fn func(r *Result)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fn(&t.r)
}

func (t *tally) result() Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.r
	if n := len(t.wakes); n > 0 {
		all := slices.Sorted(slices.Values(t.wakes))
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		r.Wakes, r.MedianWake, r.MaxWake = n, ms(all[n/2]), ms(all[n-1])
	}
	return r
}
