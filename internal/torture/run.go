package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// Options of a run.
type Options struct {
	Kills    int
	Seconds  float64 // at most; 0 means as long as it takes
	Victims  int     // alive at a time
	Seed     uint64
	Patience time.Duration // how long something may take before it counts as hung
	Verbose  bool
	Log      io.Writer // for what is wrong, and progress
	// GiveUp is called with the result so far when the run itself does not go on. It does not return.
	GiveUp func(Result)
}

// A Run is one run of a suite.
type Run struct {
	Options
	Points *Points

	tally   tally
	suite   string
	begin   time.Time
	process atomic.Uint64 // number of the last
	cancel  context.CancelFunc
	logMu   sync.Mutex
	bar     *progress
	over    atomic.Bool
}

// NewRun begins a run. The context that it returns ends when nothing more can be learned, as after a hang.
func NewRun(ctx context.Context, suite string, points []string, o Options) (context.Context, *Run) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	r := &Run{Options: o, Points: NewPoints(points), suite: suite, begin: time.Now()}
	ctx, r.cancel = context.WithCancel(ctx)
	r.bar = newProgress(o.Log)
	go r.guard()
	return ctx, r
}

// guard ends a run that makes no progress at all: this process uses what it tests, and may hang with it.
func (r *Run) guard() {
	last, since := Result{}, time.Now()
	for !r.over.Load() {
		time.Sleep(100 * time.Millisecond)
		now := r.tally.result()
		if now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) < 3*r.Patience || r.GiveUp == nil {
			continue
		}
		buf := make([]byte, 1<<20)
		r.Report(Hung, "the supervisor has done nothing since %v\n%s", time.Since(since), buf[:runtime.Stack(buf, true)])
		r.GiveUp(r.Finish())
	}
}

// More reports whether the run is to go on.
func (r *Run) More(ctx context.Context) bool {
	res := r.tally.result()
	return ctx.Err() == nil && res.Kills < r.Kills && !res.Trouble() && (r.Seconds == 0 || time.Since(r.begin).Seconds() < r.Seconds)
}

// Kills so far.
func (r *Run) Killed() int { return r.tally.result().Kills }

// Next returns a number for a process.
func (r *Run) Next() uint64 { return r.process.Add(1) }

// Report notes that something is wrong.
func (r *Run) Report(k Kind, format string, args ...any) {
	r.tally.add(k, 1)
	r.logf("%s: %s", k, fmt.Sprintf(format, args...))
}

func (r *Run) logf(format string, args ...any) {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	r.bar.clear()
	fmt.Fprintf(r.Log, format+"\n", args...)
}

// Logf writes a line of its own.
func (r *Run) Logf(format string, args ...any) {
	if r.Verbose {
		r.logf(format, args...)
	}
}

// Stop ends the run early: what hangs is not going to go on.
func (r *Run) Stop() { r.cancel() }

// Play plays one round or scene, and reports an error that is not a finding but a failure to look.
func (r *Run) Play(ctx context.Context, fn func() error) {
	if err := fn(); err != nil && ctx.Err() == nil {
		r.Report(Failed, "%v", err)
		r.Stop()
	}
}

// Wake notes how long somebody who depended on the dead took to go on.
func (r *Run) Wake(d time.Duration) {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	r.tally.wakes = append(r.tally.wakes, max(d, 0))
}

// Gone waits for the proof that all others who had the segment open are dead, which may come some time after their ends: somebody may be reading
// their files under /proc. What repairs or collects once, at the end of a round, would not find everything before that.
func (r *Run) Gone(seg *shm.Segment) error {
	for end := time.Now().Add(r.Patience); ; time.Sleep(200 * time.Microsecond) {
		i := slices.IndexFunc(seg.Participants(), func(p shm.Participant) bool { return p.PID != os.Getpid() && seg.Alive(p.Token) })
		if i < 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("after %v somebody is not proven dead, and all have ended: %v", r.Patience, seg.Participants())
		}
	}
}

// Settle audits the books of a round, all of whose processes are buried, and adds what they say to the result. Of a round that was broken
// off there is no balance.
func (r *Run) Settle(ctx context.Context, b *Books, hs *Histories) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h := &hs.h
	if ctx.Err() == nil {
		b.Audit(h)
	}
	list, total := b.Problems()
	for _, p := range list {
		r.Report(p.Kind, "%s", p.Text)
	}
	if total > len(list) {
		r.logf("and %d more", total-len(list))
	}
	r.tally.change(func(res *Result) {
		res.Messages += h.Puts
		res.Redelivered += h.Again
		res.Rounds++
	})
}

// fewKills is how many kills do not yet have to have hit every point.
const fewKills = 500

// Finish returns the result, after it has checked that it is what was asked for.
func (r *Run) Finish() Result {
	r.over.Store(true)
	r.bar.clear()
	if missed := r.Points.Missed(); len(missed) > 0 && r.Kills >= fewKills && r.Seconds == 0 {
		r.Report(Failed, "nobody died at %q", missed)
	}
	if n := r.Killed(); n < r.Kills && r.Seconds == 0 {
		r.Report(Failed, "%d kills of %d", n, r.Kills)
	}
	if r.Verbose {
		r.Points.Each(func(name string, tries, hits int) { r.logf("%8d of %8d  %s", hits, tries, name) })
	}
	res := r.tally.result()
	res.Suite = r.suite
	res.Points, res.PointsHit = r.Points.Len(), r.Points.Len()-len(r.Points.Missed())
	res.Seconds = float64(time.Since(r.begin).Milliseconds()) / 1000
	return res
}

// Watch looks at the progress of those who are not to die until ctx ends, and reports one that makes none. It also shows the progress of the
// run.
func (r *Run) Watch(ctx context.Context, b *Books, stayers map[int]*spawn.Process) {
	last, since := map[int]uint64{}, map[int]time.Time{}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for slot, p := range stayers {
				n := b.Progress(slot)
				if n != last[slot] || since[slot].IsZero() {
					last[slot], since[slot] = n, now
				} else if now.Sub(since[slot]) > r.Patience {
					r.Hang(p, fmt.Sprintf("survivor %d has done nothing since %v", slot, now.Sub(since[slot])))
					return
				}
			}
			r.show()
		}
	}
}

func (r *Run) show() {
	res := r.tally.result()
	r.logMu.Lock()
	defer r.logMu.Unlock()
	r.bar.show(res, r.Options, time.Since(r.begin))
}

// Hang reports that a process hangs, has it print its stacks, kills it, and ends the run.
func (r *Run) Hang(p *spawn.Process, what string) {
	r.Report(Hung, "%s", what)
	if p != nil {
		resume(p)
		_ = p.Signal(syscall.SIGQUIT) // the stacks come with its end
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := p.Wait(ctx); err != nil {
			var exit *spawn.ExitError
			if errors.As(err, &exit) {
				r.logf("%s\n%s", exit.Text, exit.Stack)
			}
		}
		_ = p.Kill()
	}
	r.cancel()
}
