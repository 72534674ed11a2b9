package main

import (
	"context"
	"fmt"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/inspect"
)

// ages remembers since when who has been seen to hold what. A lock's word has no time in it, so what is known is how long somebody has been watched holding
// it, with no other seen in between.
type ages map[string]time.Time

// note notes what was seen now, and forgets what was not.
func (a ages) note(all []inspect.Lock, now time.Time) {
	seen := map[string]bool{}
	for i := range all {
		if k := holding(&all[i]); k != "" {
			seen[k] = true
			if _, known := a[k]; !known {
				a[k] = now
			}
		}
	}
	for k := range a {
		if !seen[k] {
			delete(a, k)
		}
	}
}

func holding(l *inspect.Lock) string {
	if !l.Held() {
		return ""
	}
	var tokens []uint32
	if l.Owner != nil {
		tokens = append(tokens, l.Owner.Token)
	}
	for _, u := range l.Holders {
		tokens = append(tokens, u.Token)
	}
	return fmt.Sprint(l.Segment, l.Offset, tokens)
}

// A seenLock is a lock and for how long it has been seen held by the same.
type seenLock struct {
	inspect.Lock
	HeldFor float64 `json:"heldForAtLeast"` // seconds
}

// looks is how often a command that samples looks within its time.
const looks = 10

func (t *tool) locks(ctx context.Context, args []string) error {
	fs := t.flags("locks [-json] [-all] [-for D] [SEGMENT...]")
	every := fs.Bool("all", false, "also those that nobody holds")
	d := fs.Duration("for", 200*time.Millisecond, "how long to watch, to tell how long each is held at least")
	if err := t.parse(fs, args); err != nil {
		return err
	}
	known := ages{}
	var all []inspect.Lock
	var scan *inspect.Scan
	var err error
	for i := 0; ; i++ {
		if scan, err = t.segments(fs.Args()); err != nil {
			return err
		}
		all = locksOf(scan)
		known.note(all, time.Now())
		if i == looks || *d <= 0 {
			break
		}
		if err := pause(ctx, *d/looks); err != nil {
			return err
		}
	}
	t.hidden(scan)
	seen := []seenLock{}
	for _, l := range all {
		if !*every && !l.Held() && l.Problem == "" && !l.Damaged && !l.Waiters {
			continue
		}
		s := seenLock{Lock: l}
		if at, ok := known[holding(&l)]; ok {
			s.HeldFor = time.Since(at).Seconds()
		}
		seen = append(seen, s)
	}
	if t.json {
		return t.writeJSON(seen)
	}
	return t.listLocks(seen)
}

func (t *tool) listLocks(all []seenLock) error {
	var rows [][]string
	for _, l := range all {
		holders, held := inspect.Who(l.Holders), "-"
		if l.Owner != nil {
			holders = inspect.Who([]inspect.User{*l.Owner})
		}
		if l.Held() {
			held = fmt.Sprintf(">=%.1fs", l.HeldFor)
		}
		waiters := "no"
		if l.Waiting > 0 {
			waiters = fmt.Sprint(l.Waiting)
		} else if l.Waiters {
			waiters = "some"
		}
		detail := l.Detail
		if l.Damaged {
			detail = "damaged; " + detail
		}
		rows = append(rows, []string{nameText(l.Name, l.Segment), fmt.Sprintf("%#x", l.Offset), l.Kind, orDash(holders), held, waiters, orDash(detail) + note(l.Problem)})
	}
	return t.table("SEGMENT OFFSET KIND HOLDER HELD WAITERS STATE", rows)
}

func locksOf(scan *inspect.Scan) (all []inspect.Lock) {
	for _, s := range scan.Segments {
		if s.HasMemory() {
			locks, err := s.Locks()
			if err != nil {
				s.Problem = err.Error()
			}
			all = append(all, locks...)
		}
	}
	return all
}

// pause waits, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Canceled
	}
}
