package futex_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fb2d3dbd/multiproc/futex"
)

func newBarriers(t testing.TB, parties int, who ...futex.Participants) []*futex.Barrier {
	t.Helper()
	mem := make([]byte, futex.BarrierSize(parties))
	all := []*futex.Barrier{must(futex.CreateBarrier(mem, parties, who[0]))(t)}
	for _, w := range who[1:] {
		all = append(all, must(futex.OpenBarrier(mem, w))(t))
	}
	return all
}

func comes(b *futex.Barrier, ctx context.Context) <-chan error {
	return waiting(func() error { return nothing(b.Wait(ctx)) })
}

func awaitParties(t testing.TB, b *futex.Barrier, n int) {
	t.Helper()
	eventually(t, "parties wait", func() bool { return b.Waiting() == n })
}

// Round after round, all numbers are given out, the action runs once, and nobody is a round ahead.
func TestBarrierRounds(t *testing.T) {
	const parties, rounds = 4, 500
	var all folk
	bs := newBarriers(t, parties, all.one(1), all.one(1), all.one(2), all.one(3))
	var actions atomic.Int64
	var numbers [rounds][parties]atomic.Int64
	var wg sync.WaitGroup
	for _, b := range bs {
		wg.Go(func() {
			for r := range rounds {
				action := func() error { actions.Add(1); return nil }
				if r%2 == 1 {
					action = nil
				}
				i, err := b.WaitAction(context.Background(), action)
				if err != nil {
					t.Error(err)
					return
				}
				numbers[r][i].Add(1)
				if n := actions.Load(); n != int64(r/2+1) && n != int64((r+1)/2+1) {
					t.Errorf("%d actions after round %d", n, r)
				}
			}
		})
	}
	wg.Wait()
	for r := range numbers {
		for i := range numbers[r] {
			if numbers[r][i].Load() != 1 {
				t.Fatalf("round %d gave out %d %d times", r, i, numbers[r][i].Load())
			}
		}
	}
	if bs[0].Waiting() != 0 || bs[0].Broken() || bs[0].Parties() != parties {
		t.Error("the barrier is not as new")
	}
}

func TestBarrierAbortAndReset(t *testing.T) {
	var all folk
	bs := newBarriers(t, 3, all.one(1), all.one(2), all.one(3))
	ctx := context.Background()
	_, err := bs[0].Wait(ended())
	if err != context.Canceled || bs[0].Broken() {
		t.Errorf("a wait that did not begin returned %v", err)
	}
	one, two := comes(bs[0], ctx), comes(bs[1], ctx)
	awaitParties(t, bs[2], 2)
	ok(t, bs[2].Abort())
	want(t, result(t, one), futex.ErrBrokenBarrier)
	want(t, result(t, two), futex.ErrBrokenBarrier)
	want(t, nothing(bs[2].Wait(ctx)), futex.ErrBrokenBarrier)
	if !bs[0].Broken() || bs[0].Waiting() != 0 {
		t.Error("the barrier is not broken")
	}
	ok(t, bs[2].Abort())
	pass := func() {
		t.Helper()
		ok(t, bs[1].Reset())
		one, two := comes(bs[0], ctx), comes(bs[1], ctx)
		ok(t, nothing(bs[2].Wait(ctx)))
		ok(t, result(t, one))
		ok(t, result(t, two))
	}
	pass()
	one = comes(bs[0], ctx)
	awaitParties(t, bs[2], 1)
	ok(t, bs[2].Reset())
	want(t, result(t, one), futex.ErrBrokenBarrier)
	if bs[2].Broken() {
		t.Error("a reset barrier is broken")
	}
	pass()
	// One who gives up breaks it for all.
	short, cancel := context.WithCancel(ctx)
	one, two = comes(bs[0], short), comes(bs[1], ctx)
	awaitParties(t, bs[2], 2)
	cancel()
	err = result(t, one)
	want(t, err, futex.ErrBrokenBarrier)
	want(t, err, context.Canceled)
	want(t, result(t, two), futex.ErrBrokenBarrier)
	pass()
}

func TestBarrierAction(t *testing.T) {
	var all folk
	bs := newBarriers(t, 2, all.one(1), all.one(2))
	ctx := context.Background()
	bad := errors.New("bad")
	one := comes(bs[0], ctx)
	awaitParties(t, bs[0], 1)
	want(t, nothing(bs[1].WaitAction(ctx, func() error { return bad })), bad)
	want(t, result(t, one), futex.ErrBrokenBarrier)
	ok(t, bs[0].Reset())
	one = comes(bs[0], ctx)
	awaitParties(t, bs[0], 1)
	func() {
		defer func() {
			if recover() != "bad" {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = bs[1].WaitAction(ctx, func() error { panic("bad") })
	}()
	want(t, result(t, one), futex.ErrBrokenBarrier)
	ok(t, bs[0].Reset())
	// Aborted, or reset, while the action runs: nobody passes.
	for _, end := range []func() error{bs[0].Abort, bs[0].Reset} {
		one = comes(bs[0], ctx)
		awaitParties(t, bs[0], 1)
		want(t, nothing(bs[1].WaitAction(ctx, func() error { return end() })), futex.ErrBrokenBarrier)
		want(t, result(t, one), futex.ErrBrokenBarrier)
		ok(t, bs[0].Reset())
	}
	one = comes(bs[0], ctx)
	ok(t, nothing(bs[1].Wait(ctx)))
	ok(t, result(t, one))
}

// A party that died while it waited breaks the barrier for those who wait and for the last to come; the places of the dead are had
// again after Reset. One that died in the action does as well.
func TestBarrierOfTheDead(t *testing.T) {
	var all folk
	bs := newBarriers(t, 3, all.one(1), all.one(2), all.one(3), all.one(4))
	ctx := context.Background()
	die := func(token uint32) { all.kill(token); all.leave(token) }
	one, two := comes(bs[0], ctx), comes(bs[1], ctx)
	awaitParties(t, bs[2], 2)
	die(2)
	want(t, result(t, one), futex.ErrBrokenBarrier)
	want(t, result(t, two), futex.ErrClosed)
	want(t, nothing(bs[2].Wait(ctx)), futex.ErrBrokenBarrier)
	ok(t, bs[2].Reset())

	bs = newBarriers(t, 2, all.one(1), all.one(3), all.one(4))
	two = comes(bs[1], ctx)
	awaitParties(t, bs[0], 1)
	die(3)
	want(t, nothing(bs[0].Wait(ctx)), futex.ErrBrokenBarrier)
	want(t, result(t, two), futex.ErrClosed)
	ok(t, bs[0].Reset())
	one = comes(bs[0], ctx)
	awaitParties(t, bs[0], 1)
	want(t, nothing(bs[2].WaitAction(ctx, func() error {
		die(4)
		want(t, result(t, one), futex.ErrBrokenBarrier)
		return nil
	})), futex.ErrClosed)
	if !bs[0].Broken() {
		t.Error("the barrier is not broken")
	}
}

// More come than there are parties: each round takes as many as fit.
func TestBarrierWithMoreThanItsParties(t *testing.T) {
	bs := newBarriers(t, 2, futex.Local{})
	var waits []<-chan error
	for range 6 {
		waits = append(waits, comes(bs[0], context.Background()))
	}
	for _, w := range waits {
		ok(t, result(t, w))
	}
	one := comes(bs[0], context.Background())
	i, err := bs[0].Wait(context.Background())
	ok(t, err)
	ok(t, result(t, one))
	if !slices.Contains([]int{0, 1}, i) {
		t.Errorf("the number is %d", i)
	}
}
