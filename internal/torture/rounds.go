package torture

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"
)

// Rounds are those of a suite that keeps its own books.
type Rounds struct {
	Options
	mu  sync.Mutex
	res Result
}

// NewRounds begins a run of a suite with so many points.
func NewRounds(suite string, points int, o Options) *Rounds {
	if o.Log == nil {
		o.Log = io.Discard
	}
	return &Rounds{Options: o, res: Result{Suite: suite, Points: points}}
}

// complaints are as many of a kind as are written.
const complaints = 20

// Complain counts some trouble and says what it is.
func (r *Rounds) Complain(kind func(*Result) *int, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := kind(&r.res)
	if *n++; *n <= complaints {
		fmt.Fprintf(r.Log, format+"\n", args...)
	}
}

// Change changes the result so far.
func (r *Rounds) Change(fn func(res *Result)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn(&r.res)
}

// Result returns the result so far.
func (r *Rounds) Result() Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.res
}

// Troubled reports whether something went wrong.
func (r *Rounds) Troubled() bool { return r.Result().Trouble() }

// The kinds of trouble that a suite complains of.
func LostOf(r *Result) *int       { return &r.Lost }
func DuplicatedOf(r *Result) *int { return &r.Duplicated }
func CorruptOf(r *Result) *int    { return &r.Corrupt }
func HungOf(r *Result) *int       { return &r.Hung }
func FailedOf(r *Result) *int     { return &r.Failed }
func ViolationOf(r *Result) *int  { return &r.Violations }

// Play plays rounds until as many were killed as asked for, something went wrong, or the time is over. A round that does not end within limit is hung, and ends the run; then Play returns
// false. unit is what the suite's messages are.
func (r *Rounds) Play(ctx context.Context, limit time.Duration, unit string, round func(ctx context.Context, rng *rand.Rand, n int) error) bool {
	begin := time.Now()
	rng := rand.New(rand.NewPCG(r.Seed, 1))
	defer func() {
		r.Change(func(res *Result) { res.Seconds = float64(time.Since(begin).Milliseconds()) / 1000 })
	}()
	for res := r.Result(); ctx.Err() == nil && res.Kills < r.Kills && !res.Trouble() && (r.Seconds == 0 || time.Since(begin).Seconds() < r.Seconds); res = r.Result() {
		over := make(chan error, 1)
		go func() { over <- round(ctx, rng, res.Rounds) }()
		select {
		case err := <-over:
			if err != nil && ctx.Err() == nil {
				r.Complain(FailedOf, "%v", err)
			}
		case <-time.After(limit):
			buf := make([]byte, 1<<20)
			r.Complain(HungOf, "a round does not end\n%s", buf[:runtime.Stack(buf, true)])
			r.Change(func(res *Result) { res.Seconds = time.Since(begin).Seconds() })
			if r.GiveUp != nil {
				r.GiveUp(r.Result())
			}
			return false
		}
		r.Change(func(res *Result) { res.Rounds++ })
		now := r.Result()
		fmt.Fprintf(r.Log, "%s: %d killed, %d stopped, %d %s, in %d rounds\n", now.Suite, now.Kills, now.Stops, now.Messages, unit, now.Rounds)
	}
	return true
}
