package manager_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
)

// A guest is one of a crowd of processes that use a server.
type guest struct {
	Network, Address string
	Key              []byte
	Self             int
	Up, Over         *multiproc.Event
}

// crowded appends the numbers from 0 on to a list of its own, and uses objects that it shares with all others, until the event is set.
var crowded = multiproc.NewTarget("crowded", func(ctx context.Context, g guest) error {
	m, err := manager.Dial(ctx, g.Network, g.Address, &manager.DialOptions{Key: g.Key})
	if err != nil {
		return err
	}
	defer m.Close()
	mine, err := manager.NewList[int](ctx, m, &manager.ObjectOptions{Name: fmt.Sprint("of ", g.Self)})
	if err != nil {
		return err
	}
	shared, err := manager.NewDict[int, *manager.List[string]](ctx, m, &manager.ObjectOptions{Name: "shared"})
	if err != nil {
		return err
	}
	lock, err := manager.NewMutex(ctx, m, &manager.ObjectOptions{Name: "lock"})
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		if over, err := g.Over.IsSet(); over || err != nil {
			return err
		}
		if err := mine.Append(ctx, i); err != nil {
			return fmt.Errorf("append: %w", err)
		}
		short, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(3000))*time.Microsecond)
		err := lock.Lock(short)
		cancel()
		if err == nil || errors.Is(err, manager.ErrOwnerDied) {
			err = lock.Unlock(ctx)
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, manager.ErrNotOwner) && !errors.Is(err, manager.ErrLost) {
			return fmt.Errorf("lock: %w", err)
		}
		l, err := manager.NewList(ctx, m, nil, "a")
		if err == nil {
			err = shared.Set(ctx, rand.IntN(8), l)
			_ = l.Close()
		}
		if err != nil {
			return fmt.Errorf("set: %w", err)
		}
		if l, err = shared.Pop(ctx, rand.IntN(8)); err == nil {
			err = l.Append(ctx, string(make([]byte, rand.IntN(100_000))))
			_ = l.Close()
		}
		if err != nil && !errors.Is(err, manager.ErrKey) {
			return fmt.Errorf("pop: %w", err)
		}
		if i == 3 {
			if err := g.Up.Set(); err != nil {
				return err
			}
		}
	}
})

// TestCrowd kills, stops and continues processes of a crowd that use one server over all transports. Nothing is lost, done twice or left.
func TestCrowd(t *testing.T) {
	const guests, kills = 9, 4
	ctx := proctest.Context(t)
	s := serve(t, &manager.ServerOptions{Keep: time.Second, Linger: 200 * time.Millisecond})
	local := must[net.Addr](t)(s.Listen("unix", ""))
	far := must[net.Addr](t)(s.Listen("tcp", ""))
	m := dial(t, s, "ring")
	over := must[*multiproc.Event](t)(multiproc.NewEvent())
	var all []*multiproc.Process
	var ups []*multiproc.Event
	for i := range guests {
		up := must[*multiproc.Event](t)(multiproc.NewEvent())
		g := guest{Network: []string{"ring", "unix", "tcp"}[i%3], Address: local.String(), Key: s.Key(), Self: i, Up: up, Over: over}
		if g.Network == "tcp" {
			g.Address = far.String()
		}
		p, err := crowded.Start(ctx, g, nil)
		check(t, err)
		all, ups = append(all, p), append(ups, up)
	}
	for _, up := range ups {
		check(t, up.Wait(ctx))
	}
	for i := range kills { // each while another one stands still
		proctest.Stop(t, all[guests-1-i].PID())
		check(t, all[i].Kill())
		_ = all[i].Wait(ctx)
		proctest.Continue(t, all[guests-1-i].PID())
	}
	check(t, over.Set())
	for _, p := range all[kills:] {
		if err := p.Wait(ctx); err != nil {
			t.Error(err)
		}
	}
	for i := range guests {
		name := fmt.Sprint("of ", i)
		l := must[*manager.List[int]](t)(manager.NewList[int](ctx, m, &manager.ObjectOptions{Name: name, Existing: true}))
		for k, v := range must[[]int](t)(l.Copy(ctx)) {
			if k != v {
				t.Errorf("guest %d: %d at %d", i, v, k)
			}
		}
		check(t, errors.Join(l.Close(), m.Delete(ctx, name)))
	}
	check(t, errors.Join(m.Delete(ctx, "shared"), m.Delete(ctx, "lock")))
	proctest.Eventually(t, func() bool { st := s.Stats(); return st == manager.Stats{Clients: 1, Sessions: 1} }, "everything of the crowd to be let go")
	for _, e := range append(ups, over) {
		check(t, e.Free())
	}
}
