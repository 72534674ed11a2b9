package manager_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
)

// TestConnecting has calls end with their contexts, and a Manager close, while another call connects to a server that does not answer.
func TestConnecting(t *testing.T) {
	ctx := proctest.Context(t)
	s := serve(t, nil)
	p, m := far(t, s, 0)
	v := must[*manager.Value[int]](t)(manager.NewValue(ctx, m, nil, 7))
	p.pause(true)
	p.cut()
	long := make(chan error, 1)
	go func() {
		for {
			_, err := v.Get(ctx)
			if !errors.Is(err, manager.ErrLost) || errors.Is(err, manager.ErrClosed) {
				long <- err
				return
			}
		}
	}()
	for range 5 {
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		done := make(chan error, 1)
		go func() {
			_, err := v.Get(short)
			done <- err
		}()
		select {
		case err := <-done:
			if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, manager.ErrLost) {
				t.Error(err)
			}
		case err := <-long:
			t.Fatalf("the call that connects has ended first: %v", err)
		}
		cancel()
	}
	check(t, m.Close())
	if err := <-long; !errors.Is(err, manager.ErrClosed) {
		t.Error(err)
	}
	p.pause(false)
}

// TestProxiesComeAndGo opens and closes proxies in a process that has no Manager of its own, in which the last proxy's end and the next one's coming meet.
func TestProxiesComeAndGo(t *testing.T) {
	networks(t, func(t *testing.T, m *manager.Manager) {
		ctx := proctest.Context(t)
		d := must[*manager.Dict[int, string]](t)(manager.NewDict[int, string](ctx, m, nil))
		handles := make([][]byte, 4)
		for i := range handles {
			handles[i] = must[[]byte](t)(d.MarshalBinary())
		}
		p, err := comesAndGoes.Start(ctx, handles, process)
		check(t, err)
		check(t, p.Wait(ctx))
		proctest.Eventually(t, func() bool { return must[manager.Stats](t)(m.Stats(ctx)).Clients == 1 }, "the process to be forgotten")
	})
}

var comesAndGoes = multiproc.NewTarget("comes and goes", func(ctx context.Context, handles [][]byte) error {
	var all sync.WaitGroup
	errs := make([]error, len(handles))
	for i, h := range handles {
		all.Go(func() {
			for n := range 200 {
				var d manager.Dict[int, string]
				if errs[i] = d.UnmarshalBinary(h); errs[i] != nil {
					return
				}
				if errs[i] = d.Set(ctx, i, "x"); errs[i] != nil {
					return
				}
				if n%3 == 0 {
					time.Sleep(time.Millisecond)
				}
				if errs[i] = d.Close(); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
})
