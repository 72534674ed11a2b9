package manager

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/manager"
	"github.com/fb2d3dbd/multiproc/shm"
)

// points are where clients die.
var points = []string{
	"manager.dial.greeted", "manager.dial.segment", "manager.dial.opened", "manager.dial.told",
	"manager.call.entered", "manager.call.sent", "manager.call.answered", "manager.call.cancelled", "manager.call.unconfirmed", "manager.call.confirmed",
	"manager.proxy.pinned", "manager.proxy.attached", "manager.ring.part",
}

// seldom are those that a client passes once, or not often.
var seldom = map[string]bool{
	"manager.dial.greeted": true, "manager.dial.segment": true, "manager.dial.opened": true, "manager.dial.told": true,
	"manager.proxy.pinned": true, "manager.proxy.attached": true, "manager.call.cancelled": true, "manager.ring.part": true,
}

// A job is what a client gets.
type job struct {
	Book  *book
	Lane  int
	Seed  uint64
	Order string // for package fault

	// Network, Address and Key are the server's, for objects of the client's own.
	Network, Address string
	Key              []byte

	// Proxies are those of Up, encoded: a client opens them when it has taken its order.
	Proxies []byte
	Up      proxies `multiproc:"-"`
}

type proxies struct {
	Dict  *manager.Dict[int, uint64]
	Value *manager.Value[uint64]
	Big   *manager.Dict[int, []byte]
	Scrap *manager.List[*manager.Dict[int, uint64]]
	Lock  *manager.Mutex
	Sema  *manager.BoundedSemaphore
	Event *manager.Event
	Queue *manager.Queue[uint32]
	Work  *manager.JoinableQueue[uint32]
}

// permits is how many the semaphore has.
const permits = 2

var add = manager.NewUpdate("torture.add", func(_ context.Context, old uint64, _ bool, n uint64) (uint64, bool, error) { return old + n, true, nil })

func makeObjects(ctx context.Context, m *manager.Manager, b *book) (j job, err error) {
	j.Book = b
	var errs [9]error
	j.Up.Dict, errs[0] = manager.NewDict[int, uint64](ctx, m, nil)
	j.Up.Value, errs[1] = manager.NewValue[uint64](ctx, m, nil, 0)
	j.Up.Big, errs[2] = manager.NewDict[int, []byte](ctx, m, nil)
	j.Up.Scrap, errs[3] = manager.NewList[*manager.Dict[int, uint64]](ctx, m, nil)
	j.Up.Lock, errs[4] = manager.NewMutex(ctx, m, nil)
	j.Up.Sema, errs[5] = manager.NewBoundedSemaphore(ctx, m, nil, permits)
	j.Up.Event, errs[6] = manager.NewEvent(ctx, m, nil)
	j.Up.Queue, errs[7] = manager.NewQueue[uint32](ctx, m, nil, 100)
	j.Up.Work, errs[8] = manager.NewJoinableQueue[uint32](ctx, m, nil, 0)
	return j, errors.Join(errs[:]...)
}

var victim = multiproc.NewTarget("torture-manager-victim", func(ctx context.Context, j job) error {
	fault.Notice(func(point string) { _ = j.Book.Point.Set(j.Lane, uint32(slices.Index(points, point)+1)) })
	if j.Order != "" {
		if err := fault.Arm(j.Order); err != nil {
			return err
		}
	}
	if err := codec.Decode(j.Proxies, &j.Up); err != nil {
		return errors.Join(err, j.Book.wrong("%v", err))
	}
	m, err := manager.Dial(ctx, j.Network, j.Address, &manager.DialOptions{Key: j.Key})
	if err != nil {
		return errors.Join(err, j.Book.wrong("%v", err))
	}
	if err := j.Book.Live.Set(j.Lane, 1); err != nil {
		return err
	}
	v := &client{j: j, m: m, rng: rand.New(rand.NewPCG(j.Seed, 7))}
	steps := []func(context.Context) error{v.add, v.add, v.swap, v.big, v.scrap, v.lock, v.permit, v.event, v.put, v.put, v.get, v.get, v.work}
	for {
		if _, err := shm.Add(j.Book.Ops, 1); err != nil {
			return err
		}
		if err := steps[v.rng.IntN(len(steps))](ctx); err != nil {
			return errors.Join(err, j.Book.wrong("%v", err))
		}
	}
})

type client struct {
	j   job
	m   *manager.Manager
	rng *rand.Rand
}

// add adds to a key by a function of the server's.
func (v *client) add(ctx context.Context) error {
	k, n := v.rng.IntN(keys), uint64(1+v.rng.IntN(9))
	if _, err := shm.AddAt(v.j.Book.Begun, k, n); err != nil {
		return err
	}
	if _, _, err := manager.UpdateDict(ctx, v.j.Up.Dict, k, add, n); err != nil {
		return err
	}
	_, err := shm.AddAt(v.j.Book.Done, k, n)
	return err
}

// swap adds to the value by comparing and swapping.
func (v *client) swap(ctx context.Context) error {
	if _, err := shm.Add(v.j.Book.SwapBegun, 1); err != nil {
		return err
	}
	for {
		old, err := v.j.Up.Value.Get(ctx)
		if err != nil {
			return err
		}
		done, err := v.j.Up.Value.CompareAndSwap(ctx, old, old+1)
		if err != nil {
			return err
		}
		if done {
			_, err := shm.Add(v.j.Book.SwapDone, 1)
			return err
		}
	}
}

// big sets and gets what passes in parts.
func (v *client) big(ctx context.Context) error {
	k := v.rng.IntN(4)
	if v.rng.IntN(2) == 0 {
		return v.j.Up.Big.Set(ctx, k, bytes.Repeat([]byte{byte(1 + v.rng.IntN(255))}, 1+v.rng.IntN(200_000)))
	}
	b, err := v.j.Up.Big.Get(ctx, k)
	if errors.Is(err, manager.ErrKey) {
		return nil
	}
	if err == nil && (len(b) == 0 || len(bytes.Trim(b, string(b[:1]))) > 0) {
		return errors.New("a large value is torn")
	}
	return err
}

// scrap makes objects, passes them on, and uses those of others.
func (v *client) scrap(ctx context.Context) error {
	if v.rng.IntN(2) == 0 {
		d := v.j.Up.Dict
		if v.rng.IntN(2) == 0 { // one that nobody else has
			var err error
			if d, err = manager.NewDict[int, uint64](ctx, v.m, nil); err != nil {
				return err
			}
		}
		if err := v.j.Up.Scrap.Append(ctx, d); err != nil {
			return err
		}
	}
	d, err := v.j.Up.Scrap.Pop(ctx, -1)
	if errors.Is(err, manager.ErrEmpty) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := d.Len(ctx); err != nil {
		return err
	}
	return d.Close()
}

// lock does two steps in a critical section, and mends what a dead one has left between them.
func (v *client) lock(ctx context.Context) error {
	limit, b := ctx, v.j.Book
	if v.rng.IntN(3) == 0 {
		var cancel context.CancelFunc
		limit, cancel = context.WithTimeout(ctx, time.Duration(v.rng.IntN(500))*time.Microsecond)
		defer cancel()
	}
	err := v.j.Up.Lock.Lock(limit)
	died := errors.Is(err, manager.ErrOwnerDied)
	switch {
	case limit.Err() != nil && errors.Is(err, limit.Err()):
		return nil
	case err != nil && !died:
		return err
	}
	me := uint64(v.j.Lane + 1)
	before, err := shm.Swap(b.Inside, me)
	if err != nil {
		return err
	}
	if before != 0 && !died {
		return errors.New("two are in the critical section")
	}
	x, e1 := b.Pair.At(0)
	y, e2 := b.Pair.At(1)
	if x != y && !died {
		return errors.New("the critical section was left in the middle, and nobody was told")
	}
	if died {
		e1 = errors.Join(e1, b.Pair.Set(1, x), v.j.Up.Lock.MarkConsistent(ctx))
	}
	e3 := b.Pair.Set(0, x+1)
	if v.rng.IntN(4) == 0 {
		time.Sleep(time.Duration(v.rng.IntN(200)) * time.Microsecond)
	}
	e4 := b.Pair.Set(1, x+1)
	_, e5 := shm.Swap(b.Inside, 0)
	return errors.Join(e1, e2, e3, e4, e5, v.j.Up.Lock.Unlock(ctx))
}

func (v *client) permit(ctx context.Context) error {
	if err := v.j.Up.Sema.Acquire(ctx); err != nil && !errors.Is(err, manager.ErrOwnerDied) {
		return err
	}
	return v.j.Up.Sema.Release(ctx)
}

// event waits for what seldom comes.
func (v *client) event(ctx context.Context) error {
	switch v.rng.IntN(8) {
	case 0:
		return v.j.Up.Event.Set(ctx)
	case 1:
		return v.j.Up.Event.Clear(ctx)
	}
	limit, cancel := context.WithTimeout(ctx, time.Duration(v.rng.IntN(300))*time.Microsecond)
	defer cancel()
	if err := v.j.Up.Event.Wait(limit); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// put puts an item into one of the queues. The first has even numbers.
func (v *client) put(ctx context.Context) error {
	b := v.j.Book
	n, err := shm.Add(b.Next, 1)
	if err != nil || n >= items {
		return err
	}
	if err := b.Put.Set(int(n), putBegun); err != nil {
		return err
	}
	if n%2 == 0 {
		limit, cancel := context.WithTimeout(ctx, 5*time.Millisecond) // it may be full
		defer cancel()
		if err := v.j.Up.Queue.Put(limit, uint32(n)); errors.Is(err, context.DeadlineExceeded) {
			return b.Put.Set(int(n), 0)
		} else if err != nil {
			return err
		}
	} else if err := v.j.Up.Work.Put(ctx, uint32(n)); err != nil {
		return err
	}
	return b.Put.Set(int(n), putDone)
}

func (v *client) get(ctx context.Context) error {
	b := v.j.Book
	if err := b.Getting.Set(v.j.Lane, 1); err != nil {
		return err
	}
	n, err := v.j.Up.Queue.TryGet(ctx)
	if err == nil {
		err = v.got(n, 0)
	} else if errors.Is(err, manager.ErrEmpty) {
		err = nil
	}
	return errors.Join(err, b.Getting.Set(v.j.Lane, 0))
}

func (v *client) work(ctx context.Context) error {
	n, err := v.j.Up.Work.TryGet(ctx)
	if errors.Is(err, manager.ErrEmpty) {
		return nil
	}
	if err == nil {
		err = errors.Join(v.got(n, 1), v.j.Up.Work.Done(ctx))
	}
	return err
}

func (v *client) got(n uint32, odd uint32) error {
	if n >= items || n%2 != odd {
		return errors.New("a queue has an item that nobody has put into it")
	}
	_, err := shm.AddAt(v.j.Book.Got, int(n), 1)
	return err
}
