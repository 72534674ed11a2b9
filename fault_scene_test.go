//go:build fault && linux

package multiproc_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A scene is what a process does while it is killed at one of the crash points that it passes.
type scene struct {
	Role   string
	Ledger *ledger
	Lock   *multiproc.Mutex
	Ask    *multiproc.Queue[int]      // the role "lock" says that it will take the lock
	Held   *multiproc.Queue[int]      // and hears that another has it
	Seen   *multiproc.Queue[[]string] // nil, or where to say which points were passed
}

const (
	sceneMessages = 60 // of each producer
	sceneBatch    = 7
)

func newScene(t *testing.T, role string) *scene {
	t.Helper()
	s := &scene{
		Role: role,
		// Small, so that it is full and empty, and its ring comes round, all the time.
		Ledger: newLedger(t, 3, sceneMessages, 1, &multiproc.QueueOptions{Capacity: 6, Bytes: 1 << 10}),
		Lock:   newMutex(t),
		Ask:    newQueue[int](t, nil),
		Held:   newQueue[int](t, nil),
	}
	s.Ledger.Kills = true
	return s
}

// roles are the ways to be a victim. All of them end by themselves when they are not killed.
var roles = map[string]func(ctx context.Context, s *scene) error{
	"put": func(ctx context.Context, s *scene) error { return s.Ledger.produce(ctx, 0) },
	"putbatch": func(ctx context.Context, s *scene) error {
		s.Ledger.Batch = sceneBatch
		return s.Ledger.produce(ctx, 0)
	},
	"tryput": func(ctx context.Context, s *scene) error { return s.tryPut() },
	"get":    func(ctx context.Context, s *scene) error { return s.Ledger.consume(ctx) },
	"getbatch": func(ctx context.Context, s *scene) error {
		s.Ledger.Batch = sceneBatch
		return s.Ledger.consume(ctx)
	},
	"close": func(ctx context.Context, s *scene) error {
		if err := s.Ledger.produce(ctx, 0); err != nil && !errors.Is(err, multiproc.ErrClosed) {
			return err
		}
		return s.Ledger.Queue.Close()
	},
	"lock": func(ctx context.Context, s *scene) error {
		for i := range 20 {
			if err := s.Ask.Put(ctx, i); err != nil {
				return err
			}
			if _, err := s.Held.Get(ctx); err != nil {
				return err
			}
			if err := s.lock(ctx); err != nil {
				return err
			}
			if err := s.Lock.Unlock(); err != nil {
				return err
			}
		}
		return nil
	},
	"arena": func(ctx context.Context, s *scene) error {
		for i := range 20 {
			q, err := multiproc.NewQueue[int](&multiproc.QueueOptions{Capacity: 1 + i})
			if err != nil {
				return err
			}
			a, err := multiproc.NewArray[int](50_000)
			if err != nil {
				return err
			}
			if err := errors.Join(q.Free(), a.Free()); err != nil {
				return err
			}
		}
		return nil
	},
	"leave": func(ctx context.Context, s *scene) error {
		if err := s.tell(ctx, "owner.leave.marked"); err != nil { // afterwards there is no way to say so
			return err
		}
		d, err := shm.Default()
		if err != nil {
			return err
		}
		return d.Close()
	},
}

func (s *scene) tryPut() error {
	for id := range s.Ledger.Each {
		if err := s.Ledger.Begun.Set(0, uint32(id)+1); err != nil {
			return err
		}
		err := multiproc.ErrFull
		for errors.Is(err, multiproc.ErrFull) {
			err = s.Ledger.Queue.TryPut(body(id))
		}
		if err != nil {
			return err
		}
		if err := s.Ledger.Acked.Set(id, 1); err != nil {
			return err
		}
	}
	return nil
}

// lock takes the lock, from the dead as well.
func (s *scene) lock(ctx context.Context) error {
	err := s.Lock.Lock(ctx)
	if errors.Is(err, multiproc.ErrOwnerDied) {
		err = s.Lock.MarkConsistent()
	}
	return err
}

// tell says which points were passed, and which one will be.
func (s *scene) tell(ctx context.Context, next ...string) error {
	if s.Seen == nil {
		return nil
	}
	return s.Seen.Put(ctx, append(fault.Seen(), next...))
}

var victim = multiproc.NewTarget("victim", func(ctx context.Context, s *scene) error {
	if err := roles[s.Role](ctx, s); err != nil || s.Role == "leave" {
		return err
	}
	return s.tell(ctx)
})

// hasWaiters reports whether somebody sleeps, or is about to sleep, until the lock is free: the lowest bit of its word.
func hasWaiters(t *testing.T, mu *multiproc.Mutex) bool {
	t.Helper()
	var ref shm.Ref
	check(t, ref.UnmarshalBinary(must(mu.MarshalBinary())(t)))
	mem := must(mu.Segment().At(ref, shm.KindMutex))(t)
	return binary.NativeEndian.Uint32(mem)&1 != 0
}
