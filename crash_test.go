package multiproc_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A ledger says what has become of every message, in memory that no death takes away. Each message has an id.
type ledger struct {
	Queue *multiproc.Queue[[]byte]
	Begun *multiproc.Array[uint32] // by producer: the next id it may put
	Acked *multiproc.Array[uint32] // by id: 1 once a Put has returned
	Got   *multiproc.Array[uint32] // by id: how often it was taken
	Sum   *multiproc.Value[int64]  // of Got
	Let   *multiproc.Value[int64]  // how many of its ids each producer may put so far
	Stop  *multiproc.Value[bool]   // producers begin no more
	Each  int                      // ids of each producer; producer p has [p*Each, (p+1)*Each)
	Batch int                      // 1: Put and Get; above: PutBatch and GetBatch of as many
	Kills bool                     // consumers are killed
}

func newLedger(t testing.TB, producers, each, batch int, o *multiproc.QueueOptions) *ledger {
	t.Helper()
	return &ledger{
		Queue: newQueue[[]byte](t, o),
		Begun: must(multiproc.NewArray[uint32](producers))(t),
		Acked: must(multiproc.NewArray[uint32](producers * each))(t),
		Got:   must(multiproc.NewArray[uint32](producers * each))(t),
		Sum:   must(multiproc.NewValue[int64](0))(t),
		Let:   must(multiproc.NewValue(int64(each)))(t),
		Stop:  must(multiproc.NewValue(false))(t),
		Each:  each,
		Batch: batch,
	}
}

// body makes message id: its length and its bytes follow from the id.
func body(id int) []byte {
	n := 8 + int(uint32(id)*2654435761>>20)%600
	b := bytes.Repeat([]byte{byte(id)}, n)
	binary.LittleEndian.PutUint64(b, uint64(id))
	return b
}

// produce puts what producer p has not begun to put before, in this life or an earlier one.
func (l *ledger) produce(ctx context.Context, p int) error {
	for {
		next, err := l.Begun.At(p)
		if err != nil || int(next) >= l.Each {
			return err
		}
		if stop, err := l.Stop.Load(); stop || err != nil {
			return err
		}
		if let, err := l.Let.Load(); err != nil {
			return err
		} else if int64(next) >= let {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		n := min(l.Batch, l.Each-int(next))
		if err := l.Begun.Set(p, next+uint32(n)); err != nil { // before the put: an id is never put twice
			return err
		}
		msgs := make([][]byte, n)
		for i := range msgs {
			msgs[i] = body(p*l.Each + int(next) + i)
		}
		for done := 0; done < n; {
			if n == 1 {
				if err = l.Queue.Put(ctx, msgs[0]); err == nil {
					done++
				}
			} else {
				var k int
				k, err = l.Queue.PutBatch(ctx, msgs[done:])
				done += k
			}
			if err != nil && !(l.Kills && errors.Is(err, multiproc.ErrPeerDied)) { // another consumer is to come
				return err
			}
		}
		for i := range msgs {
			if err := l.Acked.Set(p*l.Each+int(next)+i, 1); err != nil {
				return err
			}
		}
	}
}

// consume takes messages until the queue is closed and empty.
func (l *ledger) consume(ctx context.Context) error {
	last := make([]int, l.Begun.Len())
	for i := range last {
		last[i] = -1
	}
	for {
		var msgs [][]byte
		var err error
		if l.Batch == 1 {
			msgs = make([][]byte, 1)
			msgs[0], err = l.Queue.Get(ctx)
		} else {
			msgs, err = l.Queue.GetBatch(ctx, l.Batch)
		}
		if errors.Is(err, multiproc.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, b := range msgs {
			if err := l.take(b, last); err != nil {
				return err
			}
		}
	}
}

// take checks a message and enters it in the ledger; last is what this consumer has had from each producer.
func (l *ledger) take(b []byte, last []int) error {
	if len(b) < 8 {
		return fmt.Errorf("a message of %d bytes", len(b))
	}
	id := int(binary.LittleEndian.Uint64(b))
	if id < 0 || id >= l.Got.Len() || !bytes.Equal(b, body(id)) {
		return fmt.Errorf("a message that nobody has put: id %d, %d bytes", id, len(b))
	}
	if p := id / l.Each; last[p] >= id && !l.Kills { // what a dead consumer had in hand comes again, late
		return fmt.Errorf("message %d of producer %d comes after %d", id, p, last[p])
	} else {
		last[p] = id
	}
	if _, err := shm.AddAt(l.Got.Shared(), id, 1); err != nil {
		return err
	}
	_, err := multiproc.Add(l.Sum, 1)
	return err
}

// audit compares what was put with what was taken. A consumer that was killed may have had up to a batch in hand.
func (l *ledger) audit(t *testing.T, killedConsumers int) {
	t.Helper()
	missing, acked := 0, 0
	for id, n := range l.Got.All() {
		ok := must(l.Acked.At(id))(t) == 1
		if ok {
			acked++
		}
		switch {
		case n > 1:
			t.Errorf("message %d was delivered %d times", id, n)
		case n == 0 && ok:
			missing++
		}
	}
	if missing > killedConsumers*l.Batch {
		t.Errorf("%d messages of %d whose Put returned were not delivered; %d consumers were killed with up to %d in hand", missing, acked, killedConsumers, l.Batch)
	}
	if n, err := l.Queue.Len(); n != 0 || err != nil {
		t.Errorf("the queue is drained and Len returns %d, %v", n, err)
	}
}

type part struct {
	Ledger *ledger
	Number int // of the producer; -1 is a consumer
}

func (p part) play(ctx context.Context) error {
	if p.Number < 0 {
		return p.Ledger.consume(ctx)
	}
	return p.Ledger.produce(ctx, p.Number)
}

var player = multiproc.NewTarget("player", func(ctx context.Context, p part) error { return p.play(ctx) })

func TestManyProducersAndConsumers(t *testing.T) {
	for _, batch := range []int{1, 7} {
		t.Run(fmt.Sprintf("batch=%d", batch), func(t *testing.T) {
			const producers, consumers = 3, 3
			l := newLedger(t, producers, 1500, batch, &multiproc.QueueOptions{Capacity: 50, Bytes: 8 << 10})
			var procs, eaters []*multiproc.Process
			for i := range producers {
				procs = append(procs, start(t, player, part{l, i}, nil))
			}
			for range consumers {
				eaters = append(eaters, start(t, player, part{l, -1}, nil))
			}
			wait(t, procs...)
			check(t, l.Queue.Close())
			wait(t, eaters...)
			l.audit(t, 0)
			if n := must(l.Sum.Load())(t); n != producers*1500 {
				t.Errorf("%d messages were taken, want %d", n, producers*1500)
			}
		})
	}
}

// Producers and consumers are killed, and stopped, at any time, and others take their places.
func TestKilledAtRandom(t *testing.T) {
	for _, batch := range []int{1, 5} {
		t.Run(fmt.Sprintf("batch=%d", batch), func(t *testing.T) { killAtRandom(t, batch) })
	}
}

func killAtRandom(t *testing.T, batch int) {
	const producers, kills, step = 3, 30, 100
	rng := rand.New(rand.NewPCG(42, uint64(batch)))
	l := newLedger(t, producers, 400_000, batch, &multiproc.QueueOptions{Capacity: 20, Bytes: 4 << 10})
	l.Kills = true
	check(t, l.Let.Store(0))
	parts := []part{{l, 0}, {l, 1}, {l, 2}, {l, -1}, {l, -1}}
	procs := make([]*multiproc.Process, len(parts))
	for i, p := range parts {
		procs[i] = start(t, player, p, nil)
	}
	killedConsumers := 0
	for k := range kills {
		// Progress is the clock: between two kills everybody else must go on, and has something left to go on with, however long the start of a process took.
		at := must(l.Sum.Load())(t) + int64(rng.IntN(step))
		check(t, l.Let.Store(int64((k+1)*(l.Each/kills))))
		proctest.Eventually(t, func() bool { n, _ := l.Sum.Load(); return n >= at }, "the survivors go on")
		i := rng.IntN(len(parts))
		if k%5 == 4 && procs[i].Alive() { // it may stand still for a while, in whatever it does
			proctest.Stop(t, procs[i].PID())
		}
		if err := procs[i].Kill(); err == nil {
			<-procs[i].Done()
		}
		code, _ := procs[i].ExitCode()
		switch {
		case code == -9 && parts[i].Number < 0:
			killedConsumers++
		case code != -9 && code != 0:
			t.Fatal(procs[i].Wait(proctest.Context(t)))
		}
		procs[i] = start(t, player, parts[i], nil)
	}
	check(t, l.Stop.Store(true))
	wait(t, procs[:producers]...)
	check(t, l.Queue.Close())
	wait(t, procs[producers:]...)
	l.audit(t, killedConsumers)
}

// mender counts under a lock until it is killed, and mends what a dead one has left half done.
var mender = multiproc.NewTarget("mender", func(ctx context.Context, c counted) error {
	for {
		err := c.Lock.Lock(ctx)
		if errors.Is(err, multiproc.ErrOwnerDied) {
			var x int
			if x, err = c.Total.At(0); err != nil {
				return err
			}
			if err = c.Total.Set(1, x); err != nil {
				return err
			}
			err = c.Lock.MarkConsistent()
		}
		if err != nil {
			return err
		}
		if err := c.step(); err != nil {
			return err
		}
		if err := c.Lock.Unlock(); err != nil {
			return err
		}
	}
})

// Owners are killed at any time; no two are ever in the critical section, and nobody waits for the dead.
func TestLockHoldersKilledAtRandom(t *testing.T) {
	const workers, kills = 4, 40
	rng := rand.New(rand.NewPCG(7, 7))
	c := counted{Lock: newMutex(t), Total: must(multiproc.NewArray[int](2))(t)}
	procs := make([]*multiproc.Process, workers)
	for i := range procs {
		procs[i] = start(t, mender, c, nil)
	}
	for range kills {
		at := must(c.Total.At(0))(t) + rng.IntN(200)
		proctest.Eventually(t, func() bool {
			n, _ := c.Total.At(0)
			return n >= at
		}, "the survivors go on")
		i := rng.IntN(workers)
		if !procs[i].Alive() {
			t.Fatal(procs[i].Wait(proctest.Context(t)))
		}
		kill(t, procs[i])
		procs[i] = start(t, mender, c, nil)
	}
	for _, p := range procs {
		if !p.Alive() {
			t.Error(p.Wait(proctest.Context(t)))
		}
		kill(t, p)
	}
}
