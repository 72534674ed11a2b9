package manager_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
)

// barriers makes a proxy of one barrier for each of the clients.
func barriers(t *testing.T, m []*manager.Manager, parties int) []*manager.Barrier {
	var all []*manager.Barrier
	for _, m := range m {
		all = append(all, must[*manager.Barrier](t)(manager.NewBarrier(proctest.Context(t), m, named("barrier"), parties)))
	}
	return all
}

// arrived waits until so many wait at a barrier.
func arrived(t testing.TB, b *manager.Barrier, n int) {
	t.Helper()
	proctest.Eventually(t, func() bool { have, err := b.Waiting(proctest.Context(t)); return have == n && err == nil }, "them to come")
}

func TestBarrier(t *testing.T) {
	clients(t, 3, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		const parties, rounds = 30, 20
		b := barriers(t, m, parties)
		var came, acted atomic.Int32
		numbers := make([][]int, rounds)
		var mu sync.Mutex
		var all sync.WaitGroup
		for g := range parties {
			all.Go(func() {
				for round := range rounds {
					came.Add(1)
					action := func() error { acted.Add(1); return nil }
					if round%2 == 0 {
						action = nil
					}
					n, err := b[g%3].WaitAction(ctx, action)
					if err != nil {
						t.Error(err)
						return
					}
					if have := int(came.Load()); have < parties*(round+1) {
						t.Errorf("%d have come, not %d", have, parties*(round+1))
					}
					if have := int(acted.Load()); have < (round+1)/2 {
						t.Errorf("%d actions, not %d", have, (round+1)/2)
					}
					mu.Lock()
					numbers[round] = append(numbers[round], n)
					mu.Unlock()
				}
			})
		}
		all.Wait()
		for _, have := range numbers {
			slices.Sort(have)
			for i, n := range have {
				if n != i {
					t.Fatal(have)
				}
			}
		}
		if n, err := b[0].Parties(ctx); n != parties || err != nil {
			t.Error(n, err)
		}
		settled(t, s)
		if _, err := manager.NewBarrier(ctx, m[0], nil, 0); !errors.Is(err, manager.ErrValue) {
			t.Error(err)
		}
	})
}

func TestBarrierBroken(t *testing.T) {
	clients(t, 2, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		b := barriers(t, m, 3)
		errs := make(chan error, 3)
		wait := func(b *manager.Barrier, ctx context.Context, action func() error) {
			_, err := b.WaitAction(ctx, action)
			errs <- err
		}
		broken := func() {
			t.Helper()
			if yes, err := b[1].Broken(ctx); !yes || err != nil {
				t.Error(yes, err)
			}
			_, err := b[1].Wait(ctx)
			is(t, err, manager.ErrBrokenBarrier)
			is(t, b[1].Reset(ctx))
			if yes, err := b[1].Broken(ctx); yes || err != nil {
				t.Error(yes, err)
			}
			settled(t, s)
		}
		// one gives up
		quit, cancel := context.WithCancel(ctx)
		go wait(b[0], quit, nil)
		arrived(t, b[0], 1)
		go wait(b[1], ctx, nil)
		arrived(t, b[0], 2)
		cancel()
		first, second := <-errs, <-errs
		if !errors.Is(first, context.Canceled) {
			first, second = second, first
		}
		is(t, first, manager.ErrBrokenBarrier, context.Canceled)
		is(t, second, manager.ErrBrokenBarrier)
		broken()
		_, err := b[0].Wait(quit) // it has not come
		is(t, err, context.Canceled)
		if n, err := b[0].Waiting(ctx); n != 0 || err != nil {
			t.Error(n, err)
		}
		// Abort, and Reset while some wait
		for _, end := range []func(context.Context) error{b[1].Abort, b[1].Reset} {
			go wait(b[0], ctx, nil)
			go wait(b[1], ctx, nil)
			arrived(t, b[0], 2)
			is(t, end(ctx))
			is(t, <-errs, manager.ErrBrokenBarrier)
			is(t, <-errs, manager.ErrBrokenBarrier)
			is(t, b[0].Reset(ctx))
		}
		// the action fails
		failed := errors.New("failed")
		for range 3 {
			go wait(b[0], ctx, func() error { return failed })
		}
		var all []error
		for range 3 {
			all = append(all, <-errs)
		}
		if n := slices.IndexFunc(all, func(err error) bool { return err == failed }); n < 0 {
			t.Error(all)
		} else if err := all[(n+1)%3]; !errors.Is(err, manager.ErrBrokenBarrier) {
			t.Error(err)
		}
		broken()
		// the action panics
		go wait(b[0], ctx, nil)
		go wait(b[1], ctx, nil)
		arrived(t, b[0], 2)
		func() {
			defer func() {
				if v := recover(); v != "panic" {
					t.Error(v)
				}
			}()
			_, _ = b[0].WaitAction(ctx, func() error { panic("panic") })
		}()
		is(t, <-errs, manager.ErrBrokenBarrier)
		is(t, <-errs, manager.ErrBrokenBarrier)
		broken()
		// a Reset comes between
		go wait(b[0], ctx, nil)
		go wait(b[1], ctx, nil)
		arrived(t, b[0], 2)
		_, err = b[0].WaitAction(ctx, func() error { return b[1].Reset(ctx) })
		is(t, err, manager.ErrBrokenBarrier)
		is(t, <-errs, manager.ErrBrokenBarrier)
		is(t, <-errs, manager.ErrBrokenBarrier)
		if yes, err := b[1].Broken(ctx); yes || err != nil {
			t.Error(yes, err)
		}
	})
}

// TestBarrierNext has parties come for the next round while an action runs.
func TestBarrierNext(t *testing.T) {
	clients(t, 2, func(t *testing.T, s *manager.Server, m []*manager.Manager) {
		ctx := proctest.Context(t)
		b := barriers(t, m, 2)
		errs := make(chan error, 5)
		var acted atomic.Int32
		wait := func(b *manager.Barrier, action func() error) {
			_, err := b.WaitAction(ctx, action)
			errs <- err
		}
		go wait(b[0], nil)
		arrived(t, b[0], 1)
		acts, goOn := make(chan struct{}), make(chan struct{})
		go wait(b[1], func() error {
			close(acts)
			<-goOn
			return nil
		})
		<-acts
		for range 4 {
			go wait(b[0], func() error { acted.Add(1); return nil })
		}
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 5 }, "all to wait")
		close(goOn)
		for range 6 {
			is(t, <-errs)
		}
		if n := acted.Load(); n != 2 {
			t.Errorf("%d actions", n)
		}
		settled(t, s)
		// one of those that come early gives up
		acts, goOn = make(chan struct{}), make(chan struct{})
		go wait(b[0], nil)
		arrived(t, b[0], 1)
		go wait(b[1], func() error {
			close(acts)
			<-goOn
			return nil
		})
		<-acts
		quit, cancel := context.WithCancel(ctx)
		go func() {
			_, err := b[0].Wait(quit)
			errs <- err
		}()
		proctest.Eventually(t, func() bool { return s.Stats().Waiting == 2 }, "both to wait")
		cancel()
		is(t, <-errs, manager.ErrBrokenBarrier)
		is(t, <-errs, manager.ErrBrokenBarrier)
		close(goOn)
		is(t, <-errs, manager.ErrBrokenBarrier)
		settled(t, s)
	})
}
