package multiproc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

const parties = 5

// A meeting is a barrier and what the parties say.
type meeting struct {
	Barrier *multiproc.Barrier
	Table   *multiproc.Array[int64] // counters, see below
	Mode    string
	Rounds  int
}

const (
	heard   = iota // parties that got ErrBrokenBarrier
	gone           // that passed
	numbers        // sum of the numbers given out
	acted          // actions run
	late           // parties that saw another a round ahead or behind
	phases         // from here on: parties in each round
)

func newMeeting(t *testing.T, n int, mode string, rounds int) meeting {
	t.Helper()
	return meeting{must(multiproc.NewBarrier(n))(t), must(multiproc.NewArray[int64](phases + rounds + 1))(t), mode, rounds}
}

func (m meeting) add(i int, n int64) {
	_ = m.Table.Update(context.Background(), func(x []int64) { x[i] += n })
}

func (m meeting) at(t *testing.T, i int) int64 { return must(m.Table.At(i))(t) }

// attend is one party.
func (m meeting) attend(ctx context.Context) error {
	pass := func() error {
		i, err := m.Barrier.WaitAction(ctx, func() error { m.add(acted, 1); return nil })
		if err == nil {
			m.add(numbers, int64(i))
		}
		return err
	}
	note := func(err error) error {
		switch {
		case err == nil:
			m.add(gone, 1)
		case errors.Is(err, multiproc.ErrBrokenBarrier):
			m.add(heard, 1)
		default:
			return err
		}
		return nil
	}
	switch m.Mode {
	case "rounds":
		for r := range m.Rounds {
			m.add(phases+r, 1)
			if err := pass(); err != nil {
				return err
			}
			if x, err := m.Table.At(phases + r); x != parties || err != nil {
				return fmt.Errorf("after round %d %d parties had come, %w", r, x, err)
			}
		}
		return nil
	case "abort":
		i, err := m.Barrier.Wait(ctx)
		if err == nil && i == parties/2 {
			return m.Barrier.Abort()
		}
		if err == nil {
			err = pass()
		}
		return note(err)
	case "once":
		return note(pass())
	case "late": // the last is never there in time
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		_, err := m.Barrier.Wait(short)
		return note(err)
	}
	return fmt.Errorf("no mode %q", m.Mode)
}

var attend = multiproc.NewTarget("attend a barrier", func(ctx context.Context, m meeting) error { return m.attend(ctx) })

// invite has n parties come, the first in this process.
func (m meeting) invite(t *testing.T, n int) (end func()) {
	t.Helper()
	var procs []*multiproc.Process
	for range n - 1 {
		procs = append(procs, start(t, attend, m, nil))
	}
	mine := make(chan error, 1)
	go func() { mine <- m.attend(proctest.Context(t)) }()
	return func() {
		t.Helper()
		check(t, <-mine)
		wait(t, procs...)
	}
}

func TestBarrier(t *testing.T) {
	for _, rounds := range []int{1, 10, 200} {
		m := newMeeting(t, parties, "rounds", rounds)
		m.invite(t, parties)()
		if n := m.at(t, numbers); n != int64(rounds*parties*(parties-1)/2) {
			t.Errorf("the numbers of %d rounds sum to %d", rounds, n)
		}
		if n := m.at(t, acted); n != int64(rounds) {
			t.Errorf("%d actions in %d rounds", n, rounds)
		}
		if m.Barrier.Broken() || m.Barrier.Waiting() != 0 || m.Barrier.Parties() != parties {
			t.Error("the barrier is not as new")
		}
		check(t, m.Barrier.Free())
	}
}

func TestBarrierOfOne(t *testing.T) {
	b := must(multiproc.NewBarrier(1))(t)
	for range 3 {
		if i, err := b.Wait(t.Context()); i != 0 || err != nil {
			t.Errorf("Wait returned %d, %v", i, err)
		}
	}
	if _, err := multiproc.NewBarrier(0); err == nil {
		t.Error("a barrier of nobody was made")
	}
}

func TestBarrierAbort(t *testing.T) {
	m := newMeeting(t, parties, "abort", 0)
	m.invite(t, parties)()
	if h, g := m.at(t, heard), m.at(t, gone); h != parties-1 || g != 0 || !m.Barrier.Broken() {
		t.Errorf("%d heard of it and %d passed; broken: %v", h, g, m.Barrier.Broken())
	}
	// Reset makes it as new.
	check(t, m.Barrier.Reset())
	m.Mode = "once"
	m.invite(t, parties)()
	if n := m.at(t, gone); n != parties {
		t.Errorf("%d passed after Reset", n)
	}
}

func TestBarrierReset(t *testing.T) {
	m := newMeeting(t, parties, "once", 0)
	end := m.invite(t, parties-1)
	proctest.Eventually(t, func() bool { return m.Barrier.Waiting() == parties-1 }, "all but one wait")
	check(t, m.Barrier.Reset())
	end()
	if h := m.at(t, heard); h != parties-1 || m.Barrier.Broken() {
		t.Errorf("%d heard of it; broken: %v", h, m.Barrier.Broken())
	}
	m.invite(t, parties)()
	if n := m.at(t, gone); n != parties {
		t.Errorf("%d passed after Reset", n)
	}
}

func TestBarrierTimeout(t *testing.T) {
	m := newMeeting(t, parties, "late", 0)
	m.invite(t, parties-1)()
	if h := m.at(t, heard); h != parties-1 || !m.Barrier.Broken() {
		t.Errorf("%d heard of it; broken: %v", h, m.Barrier.Broken())
	}
}

// A party that is killed while it waits breaks the barrier for all.
func TestBarrierPartyKilled(t *testing.T) {
	m := newMeeting(t, parties, "once", 0)
	victim := start(t, attend, m, nil)
	proctest.Eventually(t, func() bool { return m.Barrier.Waiting() == 1 }, "the victim waits")
	end := m.invite(t, parties-2)
	proctest.Eventually(t, func() bool { return m.Barrier.Waiting() == parties-1 }, "all but one wait")
	kill(t, victim)
	end()
	if h := m.at(t, heard); h != parties-2 || !m.Barrier.Broken() {
		t.Errorf("%d heard of it; broken: %v", h, m.Barrier.Broken())
	}
	want(t, m.Barrier.Reset(), nil)
	m.invite(t, parties)()
}
