package bench

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The names of further figures that curves have beside fairness and latencies.
const (
	// Jain's index of the shares that several had, from 1/n, when one of n had everything, to 1, when all had as much: where there
	// are many, one that was unlucky does not decide it alone.
	Jain = "jain"
	// Timed is how many operations the latencies are of.
	Timed = "timed"
)

// timedOps is about how many operations of a sample are timed one by one: enough for the one in a thousand that took
// longest, and so few that reading the clock twice for each of them, some 80 ns, takes a millisecond in all.
const timedOps = 1 << 14

// timedEvery returns that one operation in so many is timed where a sample has n of them. It is odd, so that it keeps no
// step with what happens every second or every sixteenth time.
func timedEvery(n int) int { return n/timedOps | 1 }

// text returns "NS:COUNT,NS:COUNT,...", what a worker tells of its latencies.
func (l latencies) text() string {
	var b []byte
	for _, bar := range l.Distribution() {
		if bar.Count == 0 {
			continue
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, bar.From+(bar.To-bar.From)/2, 10)
		b = append(b, ':')
		b = strconv.AppendInt(b, bar.Count, 10)
	}
	return string(b)
}

// add adds what a worker tells.
func (l latencies) add(text string) error {
	for pair := range strings.SplitSeq(text, ",") {
		if pair == "" {
			continue
		}
		ns, count, ok := strings.Cut(pair, ":")
		v, err := strconv.ParseInt(ns, 10, 64)
		c, err2 := strconv.ParseInt(count, 10, 64)
		if !ok || err != nil || err2 != nil || v < 0 || c < 1 || c > math.MaxInt64-l.TotalCount() {
			return fmt.Errorf("latencies: %q is not NANOSECONDS:COUNT", pair)
		}
		l.record(v, c)
	}
	return nil
}

// ofCurve adds the percentiles, and of how many operations they are, to the further figures of a sample, of which there may be none.
func (l latencies) ofCurve(extra map[string]string) map[string]string {
	extra = l.figures(extra)
	extra[Timed] = strconv.FormatInt(l.TotalCount(), 10)
	return extra
}

// A stopwatch times one operation in so many, and notes when the last of all was done.
type stopwatch struct {
	clock       commonClock
	every, left int
	begin       int64
	times       latencies
	end         int64 // 0: another worker did the last operation
}

// newStopwatch makes the stopwatch of worker me, who begins with another operation than its neighbours.
func newStopwatch(clock commonClock, every, me int) *stopwatch {
	return &stopwatch{clock: clock, every: every, left: 1 + me%every, times: newLatencies()}
}

// start stands before each operation, stop behind it.
func (s *stopwatch) start() {
	if s.left--; s.left == 0 {
		s.read()
	}
}

func (s *stopwatch) stop() {
	if s.left == 0 {
		s.note()
	}
}

func (s *stopwatch) read() { s.begin = s.clock.now() }

func (s *stopwatch) note() {
	s.times.record(s.clock.now()-s.begin, 1)
	s.left = s.every
}

// finish is called by the worker who has done the last operation of all. Others find out later: where there are more of them than
// CPUs, when it is their turn.
func (s *stopwatch) finish() { s.end = s.clock.now() }

// came notes how long a message was on its way that was put at some time, and that nothing came later yet.
func (s *stopwatch) came(put int64) {
	s.end = s.clock.now()
	s.times.record(s.end-put, 1)
}

// due stands in the place of start where an operation ends in another process: it reports whether this one is timed.
func (s *stopwatch) due() bool {
	if s.left--; s.left > 0 {
		return false
	}
	s.left = s.every
	return true
}

// finishIfNone is for who has got messages, of which none was timed.
func (s *stopwatch) finishIfNone(got int) {
	if got > 0 && s.end == 0 {
		s.finish()
	}
}

// hold keeps the CPU busy for so long.
func hold(d time.Duration) {
	if d > 0 {
		for begin := time.Now(); time.Since(begin) < d; {
		}
	}
}

// A commonClock tells the time that all processes of the machine share, for less than a call of the kernel costs.
type commonClock struct {
	base  int64 // CLOCK_MONOTONIC at begin
	begin time.Time
}

func newCommonClock() (c commonClock) {
	best := time.Duration(math.MaxInt64)
	for range 10 { // the one during which least happened
		begin := time.Now()
		base := monotonic()
		if took := time.Since(begin); took < best {
			best, c = took, commonClock{base, begin.Add(took / 2)}
		}
	}
	return c
}

func (c commonClock) now() int64 { return c.base + time.Since(c.begin).Nanoseconds() }

// fairness returns the further figures of a sample in which participants took turns.
func fairness(counts []int) map[string]string {
	if len(counts) < 2 {
		return nil
	}
	var sum, squares float64
	for _, c := range counts {
		sum += float64(c)
		squares += float64(c) * float64(c)
	}
	return map[string]string{
		Fairness: fmt.Sprintf("%.3f", float64(slices.Min(counts))/float64(max(1, slices.Max(counts)))),
		Jain:     fmt.Sprintf("%.3f", sum*sum/(float64(len(counts))*max(1, squares))),
	}
}
