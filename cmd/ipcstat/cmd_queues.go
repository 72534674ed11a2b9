package main

import (
	"context"
	"fmt"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/inspect"
)

// A ratedQueue is a queue and how fast it moves.
type ratedQueue struct {
	inspect.Queue
	PutRate float64 `json:"putsPerSecond"`
	GetRate float64 `json:"getsPerSecond"`
}

// A sample is what queues were like at one time.
type sample struct {
	at     time.Time
	queues []inspect.Queue
}

func sampleOf(scan *inspect.Scan) sample {
	s := sample{at: time.Now()}
	for _, seg := range scan.Segments {
		if seg.HasMemory() {
			queues, err := seg.Queues()
			if err != nil {
				seg.Problem = err.Error()
			}
			s.queues = append(s.queues, queues...)
		}
	}
	return s
}

// rate returns the queues of the later sample, with what has moved since the earlier one.
func (s sample) rate(before sample) []ratedQueue {
	all := []ratedQueue{}
	seconds := s.at.Sub(before.at).Seconds()
	for _, q := range s.queues {
		r := ratedQueue{Queue: q}
		for _, old := range before.queues {
			if old.Segment == q.Segment && old.Offset == q.Offset && old.Wrap == q.Wrap && q.Wrap > 0 && seconds > 0 {
				r.PutRate = float64((q.Puts+q.Wrap-old.Puts)%q.Wrap) / seconds
				r.GetRate = float64((q.Gets+q.Wrap-old.Gets)%q.Wrap) / seconds
			}
		}
		all = append(all, r)
	}
	return all
}

func (t *tool) queues(ctx context.Context, args []string) error {
	fs := t.flags("queues [-json] [-for D] [SEGMENT...]")
	d := fs.Duration("for", 500*time.Millisecond, "how long to watch, to tell the rates")
	if err := t.parse(fs, args); err != nil {
		return err
	}
	scan, err := t.segments(fs.Args())
	if err != nil {
		return err
	}
	first := sampleOf(scan)
	if err := pause(ctx, max(*d, 0)); err != nil {
		return err
	}
	all := sampleOf(scan).rate(first)
	if t.json {
		return t.writeJSON(all)
	}
	t.hidden(scan)
	return t.listQueues(all)
}

func (t *tool) listQueues(all []ratedQueue) error {
	var rows [][]string
	for _, q := range all {
		state := "open"
		if q.Closed {
			state = "closed"
		}
		if q.SetAside > 0 {
			state += fmt.Sprintf(", %d set aside", q.SetAside)
		}
		rows = append(rows, []string{nameText(q.Name, q.Segment), fmt.Sprintf("%#x", q.Offset), fmt.Sprintf("%d/%d", q.Depth, q.Capacity), fmt.Sprint(q.Unacked),
			fmt.Sprintf("%.0f", q.PutRate), fmt.Sprintf("%.0f", q.GetRate), orDash(inspect.Who(q.Producers)), orDash(inspect.Who(q.Consumers)), state + note(q.Problem)})
	}
	return t.table("SEGMENT OFFSET DEPTH UNACKED PUTS/S GETS/S PRODUCERS CONSUMERS STATE", rows)
}

func (t *tool) top(ctx context.Context, args []string) error {
	fs := t.flags("top [-n N] [-every D] [SEGMENT...]")
	n := fs.Int("n", 0, "how often to show it; 0: until interrupted")
	every := fs.Duration("every", time.Second, "how often")
	if err := t.parse(fs, args); err != nil {
		return err
	}
	if *every <= 0 {
		return usageError{fmt.Errorf("-every %v: it must be above 0", *every)}
	}
	known := ages{}
	scan, err := t.segments(fs.Args())
	if err != nil {
		return err
	}
	last := sampleOf(scan)
	for i := 0; *n <= 0 || i < *n; i++ {
		if err := pause(ctx, *every); err != nil {
			return nil // that is how it is ended
		}
		if scan, err = t.segments(fs.Args()); err != nil {
			return err
		}
		now := sampleOf(scan)
		locks := locksOf(scan)
		known.note(locks, now.at)
		var held []seenLock
		for _, l := range locks {
			if at, ok := known[holding(&l)]; ok {
				held = append(held, seenLock{l, now.at.Sub(at).Seconds()})
			}
		}
		queues := now.rate(last)
		last = now
		if t.json {
			if err := t.writeJSON(map[string]any{"at": now.at, "segments": scan.Segments, "locks": held, "queues": queues}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(t.out, "\x1b[H\x1b[2J%s\n\n", now.at.Format(time.DateTime))
		if err := t.listSegments(scan.Segments); err != nil {
			return err
		}
		fmt.Fprintln(t.out)
		if err := t.listQueues(queues); err != nil {
			return err
		}
		fmt.Fprintln(t.out)
		if err := t.listLocks(held); err != nil {
			return err
		}
	}
	return nil
}
