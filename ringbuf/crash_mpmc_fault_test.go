//go:build fault && linux

package ringbuf_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// stopBlocksNobody says that a stopped process holds up no other. While each side of a queue has a lock, it does.
const stopBlocksNobody = false

const (
	queueMessages = 60 // of each producer
	queueBatch    = 3  // messages that a consumer's batch may have

	// What stands in the ledger of a consumer: how many messages one call under way may take, how many it has got, and
	// sender<<32 | number of each.
	inFlight = 0
	gotCount = 1
	gotFirst = 2
)

type crewArg struct {
	Seg    *shm.Segment
	Ledger ledger
	Fault  string
	Sender uint64
}

func (a crewArg) open() (*ringbuf.MPMC, error) {
	if err := fault.Arm(a.Fault); err != nil {
		return nil, err
	}
	return ringbuf.OpenMPMC(a.Seg.Bytes(), in(a.Seg))
}

var crewPut = spawn.NewTarget("ringbuf-crew-put", func(ctx context.Context, a crewArg) error {
	defer tellSeen(a.Fault)
	q, err := a.open()
	if err != nil {
		return err
	}
	for seq := uint64(1); seq <= queueMessages; seq++ {
		if seq%7 == 3 && seq < queueMessages {
			note(a.Ledger, began, seq+1)
			if _, err := q.PutBatch(context.Background(), [][]byte{stamped(nil, a.Sender, seq), stamped(nil, a.Sender, seq+1)}); err != nil {
				return err
			}
			seq++
		} else {
			note(a.Ledger, began, seq)
			if err := q.Put(context.Background(), stamped(nil, a.Sender, seq)); err != nil {
				return err
			}
		}
		note(a.Ledger, returned, seq)
	}
	return nil
})

var crewGet = spawn.NewTarget("ringbuf-crew-get", func(ctx context.Context, a crewArg) error {
	defer tellSeen(a.Fault)
	q, err := a.open()
	if err != nil {
		return err
	}
	return takeAll(q, a.Ledger)
})

// takeAll takes messages until the end of the queue and keeps the books.
func takeAll(q *ringbuf.MPMC, l ledger) error {
	count := uint64(0)
	order := tally{}
	for i := 0; ; i++ {
		var msgs [][]byte
		var err error
		if i%4 == 1 {
			if err := l.Set(inFlight, queueBatch); err != nil {
				return err
			}
			msgs, err = q.GetBatch(context.Background(), queueBatch)
		} else {
			if err := l.Set(inFlight, 1); err != nil {
				return err
			}
			var msg []byte
			msg, err = q.Get(context.Background(), nil)
			msgs = [][]byte{msg}
		}
		if errors.Is(err, ringbuf.ErrClosed) {
			return l.Set(inFlight, 0)
		}
		if err != nil {
			return err
		}
		for _, msg := range msgs {
			sender, seq, err := readStamp(msg)
			if err != nil {
				return err
			}
			if err := order.add(msg); err != nil {
				return err
			}
			note(l, gotFirst+int(count), sender<<32|seq)
			count++
		}
		note(l, gotCount, count)
	}
}

// A crew is two producers' and one consumer's processes, and another consumer in this one, on a queue.
type crew struct {
	t         *testing.T
	q         *ringbuf.MPMC
	producers [2]*spawn.Process
	consumer  *spawn.Process
	ledgers   [4]ledger // of the producers and the consumers
	own       chan error
	seen      []func() []string
}

// startCrew starts a crew, each with its order of where to die or stop.
func startCrew(t *testing.T, limit int, orders [3]string) *crew {
	t.Helper()
	ctx := proctest.Context(t)
	seg := newSegment(t, ringbuf.MPMCSize(1024))
	q, err := ringbuf.CreateMPMC(seg.Bytes(), &ringbuf.MPMCOptions{Options: *in(seg), Limit: limit})
	ok(t, err)
	c := &crew{t: t, q: q, own: make(chan error, 1)}
	for i := range c.ledgers {
		c.ledgers[i] = newLedger(t, gotFirst+2*queueMessages)
	}
	start := func(i int, target *spawn.Target[crewArg]) *spawn.Process {
		arg := crewArg{Seg: seg, Ledger: c.ledgers[i], Fault: orders[i], Sender: uint64(i)}
		if orders[i] == "" {
			p, seen := startSeeing(t, target, arg)
			c.seen = append(c.seen, seen)
			return p
		}
		p, err := target.Start(ctx, arg, nil)
		ok(t, err)
		return p
	}
	c.consumer = start(2, crewGet)
	c.producers[0] = start(0, crewPut)
	c.producers[1] = start(1, crewPut)
	return c
}

// work has this process's consumer begin.
func (c *crew) work() { go func() { c.own <- takeAll(c.q, c.ledgers[3]) }() }

// finish waits for the end of all, checks the books, and returns who was killed.
func (c *crew) finish() (killed [3]bool) {
	t := c.t
	t.Helper()
	for i, p := range c.producers {
		killed[i] = wasKilled(t, p)
	}
	ok(t, c.q.Close())
	killed[2] = wasKilled(t, c.consumer)
	select {
	case err := <-c.own:
		ok(t, err)
	case <-proctest.Context(t).Done():
		t.Fatal("the surviving consumer waits for ever")
	}
	allowance := uint64(0) // messages that a dead consumer's last call may have taken with it
	if killed[2] {
		allowance = read(t, c.ledgers[2], inFlight)
	}
	times := map[uint64]int{}
	for i, l := range c.ledgers[2:] {
		n := read(t, l, gotCount)
		for k := range n {
			times[read(t, l, gotFirst+int(k))]++
		}
		if i == 1 && n == 0 && !killed[2] && len(times) == 0 {
			t.Fatal("nobody got anything")
		}
	}
	missing := uint64(0)
	for s := range uint64(2) {
		low, high := read(t, c.ledgers[s], returned), read(t, c.ledgers[s], began)
		if !killed[s] && low != queueMessages {
			t.Fatalf("producer %d ended after message %d", s, low)
		}
		for seq := uint64(1); seq <= queueMessages; seq++ {
			n := times[s<<32|seq]
			delete(times, s<<32|seq)
			switch {
			case n > 1:
				t.Fatalf("message %d of producer %d was delivered %d times", seq, s, n)
			case n == 1 && seq > high:
				t.Fatalf("message %d of producer %d was delivered and never put", seq, s)
			case n == 0 && seq <= low:
				missing++
			}
		}
	}
	if len(times) > 0 {
		t.Fatalf("messages that nobody put: %v", times)
	}
	if missing > allowance {
		t.Fatalf("%d messages whose put had returned are lost; a dead consumer can have taken %d", missing, allowance)
	}
	if n, err := c.q.Len(); n != 0 || err != nil {
		t.Fatalf("Len of a drained queue is %d, %v", n, err)
	}
	return killed
}

// crewPoints runs a crew undisturbed and returns the points that its producers and its consumer pass.
func crewPoints(t *testing.T) (producer, consumer []string) {
	c := startCrew(t, 3, [3]string{})
	c.work()
	lists := make([][]string, 3)
	for i, seen := range c.seen {
		// The producers print when they have put everything, the consumer after Close.
		if i > 0 {
			lists[i] = seen()
		}
	}
	c.finish()
	lists[0] = c.seen[0]()
	keep := func(list []string) []string {
		slices.Sort(list)
		return slices.DeleteFunc(slices.Compact(list), func(s string) bool { return strings.HasPrefix(s, "owner.") })
	}
	return keep(append(lists[1], lists[2]...)), keep(lists[0])
}

// TestCrashMPMC kills and stops a producer and a consumer of four at each point that they pass, those of the locks included,
// and those who mend what the dead have left at the points where they do.
func TestCrashMPMC(t *testing.T) {
	h := hits{}
	producer, consumer := crewPoints(t)
	for _, limit := range []int{0, 1} {
		for i, points := range [][]string{0: producer, 2: consumer} {
			for _, point := range points {
				for _, pass := range passes {
					name := fmt.Sprintf("%d/%d/%s/%d", limit, i, point, pass)
					t.Run("kill/"+name, func(t *testing.T) {
						var orders [3]string
						orders[i] = fmt.Sprintf("kill:%s:%d", point, pass)
						c := startCrew(t, limit, orders)
						c.work()
						if c.finish()[i] {
							h[point] = true
						}
					})
					t.Run("stop/"+name, func(t *testing.T) {
						if pass > 2 {
							return
						}
						var orders [3]string
						orders[i] = fmt.Sprintf("stop:%s:%d", point, pass)
						c := startCrew(t, limit, orders)
						c.work()
						p := []*spawn.Process{c.producers[0], c.producers[1], c.consumer}[i]
						if stopBlocksNobody {
							ok(t, c.producers[1].Wait(proctest.Context(t)))
						}
						if i == 2 { // it ends only after Close, which may have to wait for it
							go func() {
								for _, p := range c.producers {
									<-p.Done()
								}
								_ = c.q.Close()
							}()
						}
						if awaitStop(t, p) {
							proctest.Continue(t, p.PID())
						}
						if k := c.finish(); k != [3]bool{} {
							t.Fatalf("killed: %v", k)
						}
					})
				}
			}
		}
	}
	// Points that nobody passes unless somebody has died: a producer dies at one of its own, and those who mend it die too.
	for _, point := range declaredPoints(t, "mpmc.") {
		if slices.Contains(producer, point) || slices.Contains(consumer, point) || h[point] {
			continue
		}
		for _, first := range producer {
			t.Run("mend/"+point+"/"+first, func(t *testing.T) {
				mend := "kill:" + point + ":1"
				c := startCrew(t, 2, [3]string{"kill:" + first + ":2", mend, mend})
				c.work()
				if k := c.finish(); k[1] || k[2] {
					h[point] = true
				}
			})
		}
	}
	t.Run("mpmc.closed", func(t *testing.T) { h["mpmc.closed"] = closerKilled(t) })
	h.wantAll(t, declaredPoints(t, "mpmc."))
}

var crewClose = spawn.NewTarget("ringbuf-crew-close", func(_ context.Context, a crewArg) error {
	q, err := a.open()
	if err != nil {
		return err
	}
	return q.Close()
})

// closerKilled kills who closes a queue: it is closed, and those who sleep on it hear of it.
func closerKilled(t *testing.T) bool {
	ctx := proctest.Context(t)
	seg := newSegment(t, ringbuf.MPMCSize(1024))
	q, err := ringbuf.CreateMPMC(seg.Bytes(), &ringbuf.MPMCOptions{Options: *in(seg), Limit: 1})
	ok(t, err)
	done := startCalls(2, func() error { _, err := q.Get(ctx, nil); return err })
	p, err := crewClose.Start(ctx, crewArg{Seg: seg, Ledger: newLedger(t, 1), Fault: "kill:mpmc.closed:1"}, nil)
	ok(t, err)
	killed := wasKilled(t, p)
	for range 2 {
		wantErr(t, <-done, ringbuf.ErrClosed)
	}
	wantErr(t, q.Put(ctx, nil), ringbuf.ErrClosed)
	ok(t, q.Close())
	return killed
}
