package torture_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/internal/torture"
	"github.com/fb2d3dbd/multiproc/spawn"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// idlers do nothing, end by themselves, or die where nobody told them to.
var idlers = spawn.NewTarget("torture-idler", func(ctx context.Context, what string) error {
	switch what {
	case "fail":
		return errors.New("a message is torn")
	case "die":
		proctest.Suicide()
	case "end":
		return nil
	}
	<-ctx.Done()
	select {}
})

func start(what string) func(context.Context, torture.Order) (*spawn.Process, error) {
	return func(ctx context.Context, _ torture.Order) (*spawn.Process, error) {
		return idlers.Start(ctx, what, nil)
	}
}

func newRun(t *testing.T, log *bytes.Buffer, patience time.Duration) (context.Context, *torture.Run) {
	return torture.NewRun(proctest.Context(t), "test", []string{"a", "b"}, torture.Options{Kills: 1, Patience: patience, Log: log})
}

// TestSpendRed has victims that do not do as they were told.
func TestSpendRed(t *testing.T) {
	for what, c := range map[string]struct {
		patience time.Duration
		bad      func(r torture.Result) bool
		says     string
	}{
		"hang": {300 * time.Millisecond, func(r torture.Result) bool { return r.Hung == 1 }, "has not ended"},
		"fail": {time.Minute, func(r torture.Result) bool { return r.Corrupt == 1 }, "a message is torn"},
		"die":  {time.Minute, func(r torture.Result) bool { return r.Failed >= 1 && r.Kills == 1 && r.Critical == 0 }, "at no point"},
		"end":  {time.Minute, func(r torture.Result) bool { return r.Corrupt == 1 }, "ended by itself"},
	} {
		t.Run(what, func(t *testing.T) {
			p := newPlay(t)
			var log bytes.Buffer
			ctx, r := newRun(t, &log, c.patience)
			var h torture.Histories
			o := torture.Order{Books: p.b.Segment(), Slot: 0, Process: 1, Point: "a", Nth: 1}
			r.Spend(ctx, p.b, torture.Life{Order: o, Start: start(what)}, &h)
			res := r.Finish()
			if !c.bad(res) || !res.Trouble() || !strings.Contains(log.String(), c.says) {
				t.Errorf("%s\n%s", res.JSON(), log.String())
			}
			if what == "hang" && ctx.Err() == nil {
				t.Error("the run goes on")
			}
		})
	}
}

// TestWatchRed has a survivor that makes no progress.
func TestWatchRed(t *testing.T) {
	p := newPlay(t)
	var log bytes.Buffer
	ctx, r := newRun(t, &log, 300*time.Millisecond)
	proc, err := idlers.Start(ctx, "hang", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Watch(ctx, p.b, map[int]*spawn.Process{2: proc})
	_ = proc.Wait(proctest.Context(t))
	if res := r.Finish(); res.Hung != 1 || ctx.Err() == nil || !strings.Contains(log.String(), "goroutine") {
		t.Errorf("%s\n%s", res.JSON(), log.String())
	}
}

// TestResult has the fields of a line in their order, and what is wrong with a run that fell short.
func TestResult(t *testing.T) {
	var log bytes.Buffer
	_, r := torture.NewRun(proctest.Context(t), "test", []string{"a", "b"}, torture.Options{Kills: 600, Patience: time.Minute, Log: &log})
	r.Points.Hit("a")
	for _, ms := range []int{9, 1, 4} {
		r.Wake(time.Duration(ms) * time.Millisecond)
	}
	res := r.Finish()
	if res.Failed != 2 || res.PointsHit != 1 || res.Points != 2 || res.MedianWake != 4 || res.MaxWake != 9 || res.Wakes != 3 {
		t.Errorf("%s", res.JSON())
	}
	if s := string(res.JSON()); !strings.HasPrefix(s, `{"suite":"test","kills":0,"critical":0,"points":2,"points_hit":1,"messages":0,`) {
		t.Errorf("%s", s)
	}
	var back torture.Result
	if err := json.Unmarshal(res.JSON(), &back); err != nil || back != res {
		t.Errorf("%v: %+v", err, back)
	}
	if !strings.Contains(log.String(), `"b"`) {
		t.Errorf("%s", log.String())
	}
}

// TestGuard ends a run whose supervisor hangs.
func TestGuard(t *testing.T) {
	gaveUp := make(chan torture.Result, 1)
	_, r := torture.NewRun(proctest.Context(t), "test", nil, torture.Options{
		Kills: 1, Patience: 50 * time.Millisecond, GiveUp: func(r torture.Result) { gaveUp <- r },
	})
	if res := <-gaveUp; res.Hung != 1 || r.Killed() != 0 {
		t.Errorf("%s", res.JSON())
	}
}
