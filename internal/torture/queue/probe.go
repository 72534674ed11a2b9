package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/torture"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// A scene is one in which a survivor waits for something that only one process can give, and that process dies.
type scene int

const (
	heldMessage  scene = iota // of an empty queue's only message, which the victim holds
	givenBack                 // the same; the victim dies while it gives the message back, and before it has told anybody
	takenSlots                // for room; the victim has reserved all slots
	lastProducer              // for a message; the victim is the last who could put one
	lastConsumer              // for room in a full queue; the victim is the last who could make some
	scenes
)

const (
	probeCapacity = 4
	probeSpares   = 4
)

// at is where the victim of a scene dies.
func (s scene) at(rng *rand.Rand) string {
	switch s {
	case heldMessage:
		return pick(rng, "mpmc.put.claimed", "mpmc.put.written", "mpmc.put.located", "mpmc.put.announced") // of its first put
	case givenBack:
		return "mpmc.nacked"
	case takenSlots:
		return pick(rng, "mpmc.put.written", "mpmc.put.located", "mpmc.put.announced")
	case lastProducer:
		return pick(rng, "mpmc.fast.claimed", "mpmc.fast.written", "mpmc.fast.announced")
	}
	return pick(rng, "mpmc.get.found", "mpmc.get.taken", "mpmc.get.hinted")
}

const (
	isReady = 1
	mayDie  = 1
)

// slow is a wake worth a line.
const slow = 100 * time.Millisecond

// probe plays one of the scenes and measures how long the survivor takes to go on.
func (s *suite) probe(ctx context.Context, rng *rand.Rand) error {
	r, sc := s.r, scene(rng.IntN(int(scenes)))
	c := config{
		opts:  ringbuf.MPMCOptions{Capacity: probeCapacity, Spares: probeSpares, Members: 16, MessageSize: 96, Zeroed: true},
		sizes: sizes{Inline: 96, Large: 96},
	}
	t, err := newTable(c, 2, 1024)
	if err != nil {
		return err
	}
	defer t.close()
	w := t.worker(1, 0, r.Next())
	if sc == heldMessage || sc == givenBack || sc == lastConsumer {
		if err := w.tryPut(); err != nil {
			return err
		}
	}
	j := t.job(torture.Order{Slot: 0, Process: r.Next(), Point: sc.at(rng), Nth: 1, Seed: rng.Uint64(), Instead: instead}, producer)
	j.Scene = int(sc)
	type woken struct {
		at  uint64
		err error
	}
	survivor := make(chan woken, 1)
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	began := false
	life := torture.Life{Order: j.Order, Verdict: torture.QueueVerdict, Start: func(ctx context.Context, o torture.Order) (*spawn.Process, error) {
		p, err := actors.Start(ctx, j, nil)
		if err != nil {
			return nil, err
		}
		for t.books.Reached(0) != isReady {
			select {
			case <-p.Done():
				return p, nil
			case <-ctx.Done():
				_ = p.Kill()
				return p, nil
			case <-time.After(500 * time.Microsecond):
			}
		}
		if err := sc.set(w); err != nil {
			_ = p.Kill()
			return nil, err
		}
		began = true
		go func() {
			err := sc.wait(waiting, w)
			survivor <- woken{now(), err}
		}()
		time.Sleep(time.Duration(1+rng.IntN(60)) * time.Millisecond) // it waits by now, for some time or for long
		t.books.Release(0, mayDie)
		return p, nil
	}}
	var death torture.Death
	var buried uint64
	life.Ending = func(d torture.Death) { death, buried = d, now() }
	r.Spend(ctx, t.books, life, &t.histories)
	if !began || ctx.Err() != nil {
		return nil
	}
	select {
	case got := <-survivor:
		if got.err != nil {
			t.books.Problem(torture.Corrupt, "scene %d, a death at %s: %v", sc, death.Point, got.err)
		} else if death.Point != "" {
			wake := time.Duration(int64(got.at) - int64(death.Time))
			r.Wake(wake)
			if wake > slow {
				r.Logf("slow: %v after a death at %s in scene %d; its parent heard of it after %v", wake, death.Point, sc, time.Duration(buried-death.Time))
			}
		}
	case <-time.After(r.Patience):
		r.Hang(nil, fmt.Sprintf("scene %d, a death at %s: who waited does not go on", sc, death.Point))
		return nil
	}
	t.quiet(r, 0, false)
	t.histories.Bury(t.books, torture.Death{Slot: 1, Time: now()})
	r.Settle(ctx, t.books, &t.histories)
	return nil
}

// set prepares a scene when the victim has done its part.
func (s scene) set(w *worker) error {
	switch s {
	case takenSlots:
		return w.land() // nothing, by which this process is one that may take, and be waited for
	case lastProducer:
		return w.land() // what the victim has put, by which it is a producer
	case lastConsumer:
		for range probeCapacity {
			if err := w.tryPut(); err != nil {
				return err
			}
		}
	}
	return nil
}

// wait is the survivor's call.
func (s scene) wait(ctx context.Context, w *worker) error {
	switch s {
	case heldMessage, givenBack:
		d, err := w.q.Receive(ctx)
		if err != nil {
			return err
		}
		if err := w.hold(d, nil, false); err != nil {
			return err
		}
		return w.dropAll()
	case takenSlots:
		id := w.id()
		w.lane.Put(id, 1)
		err := w.q.Put(ctx, w.sizes.make(id))
		if err != nil {
			return err
		}
		w.lane.PutDone(1)
		return nil
	case lastProducer:
		for {
			d, err := w.q.Receive(ctx)
			if errors.Is(err, ringbuf.ErrPeerDied) {
				return nil
			}
			if err := w.hold(d, err, false); err != nil {
				return err
			}
			if err := w.dropAll(); err != nil {
				return err
			}
		}
	}
	id := w.id()
	w.lane.Put(id, 1)
	err := w.q.Put(ctx, w.sizes.make(id))
	if err == nil {
		w.lane.PutDone(1)
		return nil // what the victim had taken is counted to be handed out again: there was room
	}
	w.lane.PutDone(0)
	w.lane.Drop(id)
	if errors.Is(err, ringbuf.ErrPeerDied) {
		return nil
	}
	return err
}

// actors are the victims of the scenes.
var actors = spawn.NewTarget("torture-queue-actor", func(ctx context.Context, j job) error {
	v, err := j.Order.Victim()
	if err != nil {
		return err
	}
	q, err := j.open()
	if err != nil {
		return err
	}
	w := j.worker(v.Books, q, 0)
	var reserved []*ringbuf.Reservation
	switch scene(j.Scene) {
	case heldMessage, givenBack:
		d, err := q.Receive(ctx)
		if err := w.hold(d, err, false); err != nil {
			return err
		}
	case takenSlots:
		for range probeCapacity + probeSpares {
			r, err := q.TryReserve(64)
			if err != nil {
				return err
			}
			reserved = append(reserved, r)
		}
	case lastProducer:
		if err := w.tryPut(); err != nil {
			return err
		}
	case lastConsumer:
		if err := w.land(); err != nil {
			return err
		}
	}
	w.lane.Ready(isReady)
	for w.lane.Go() != mayDie {
		time.Sleep(200 * time.Microsecond)
	}
	if err := v.Arm(); err != nil {
		return err
	}
	switch scene(j.Scene) {
	case givenBack:
		return w.drop(true)
	case takenSlots:
		return reserved[0].Commit(ctx, 64)
	case lastConsumer:
		d, err := q.TryReceive()
		return w.hold(d, err, false)
	}
	for {
		if err := w.tryPut(); err != nil {
			return err
		}
	}
})
