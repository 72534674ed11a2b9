//go:build fault && linux

package ringbuf_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// A scene is a queue with victims on it, and a producer and a consumer that survive: goroutines of the test with mappings of
// their own, who are participants like any process.
type scene struct {
	t       *testing.T
	q       *ringbuf.MPMC // the test's own handle
	seg     *shm.Segment
	ledgers []ledger // of the victims
	all     *actor   // what the survivors got, and what the test puts
	books   map[int]ledger
	lost    int          // messages that victims died with after they had taken them for good
	stop    func() error // ends the surviving consumer
}

// afterAck are the points behind the store that takes a message for good.
var afterAck = []string{"mpmc.fast.released", "mpmc.released", "mpmc.release.emptied", "mpmc.units.freed"}

func newScene(t *testing.T, o ringbuf.MPMCOptions) *scene {
	t.Helper()
	s := &scene{t: t}
	s.q, s.seg = queueIn(t, o)
	s.all = &actor{s.q, newLedger(t, lSize)}
	s.books = map[int]ledger{2: newLedger(t, lSize), 3: newLedger(t, lSize)}
	return s
}

// victim starts a victim with a ledger of its own.
func (s *scene) victim(role, order string, sender int) (p *spawn.Process, l ledger) {
	s.t.Helper()
	l = newLedger(s.t, lSize)
	s.ledgers = append(s.ledgers, l)
	p, err := roleTarget.Start(proctest.Context(s.t), roleArg{Seg: s.seg, Ledger: l, Fault: order, Role: role, Sender: sender}, nil)
	ok(s.t, err)
	return p, l
}

// died takes note of what a victim that was killed at a point may have taken for good without having been able to say so.
func (s *scene) died(l ledger, point string) {
	if slices.Contains(afterAck, point) {
		s.lost += int(read(s.t, l, lInFlight))
		if read(s.t, l, lAcking) != 0 {
			s.lost++
		}
	}
}

// pump starts a surviving consumer, which holds each message for the time of two others.
func (s *scene) pump() {
	if s.stop != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	q, done := openAgain(s.t, s.seg), make(chan error, 1)
	s.stop = func() error { cancel(); s.stop = nil; return <-done }
	go func() {
		var held []*ringbuf.Delivery
		ack := func() (err error) { err = held[0].Ack(); held = held[1:]; return err }
		var err error
		for err == nil {
			var d *ringbuf.Delivery
			if d, err = q.Receive(ctx); err != nil {
				break
			}
			var key int
			if key, err = readLetter(d.Bytes()); err != nil {
				break
			}
			s.all.add(lGot, key)
			if held = append(held, d); len(held) > 2 {
				err = ack()
			}
		}
		if errors.Is(err, context.Canceled) || errors.Is(err, ringbuf.ErrClosed) {
			err = nil
		}
		for len(held) > 0 {
			err = errors.Join(err, ack())
		}
		done <- err
	}()
}

// feed starts a surviving producer.
func (s *scene) feed(sender, n int) (done chan error) {
	done = make(chan error, 1)
	a := &actor{openAgain(s.t, s.seg), s.books[sender]}
	go func() {
		for seq := range n {
			if err := a.put(seq/2, sender, seq); err != nil {
				done <- fmt.Errorf("the surviving producer: %w", err)
				return
			}
		}
		done <- nil
	}()
	return done
}

// fed waits for a surviving producer: no victim may hold it up.
func (s *scene) fed(done chan error) {
	s.t.Helper()
	select {
	case err := <-done:
		ok(s.t, err)
	case <-proctest.Context(s.t).Done():
		s.t.Fatalf("the surviving producer waits for ever; slots %x", ringbuf.UsedSlots(s.q))
	}
}

// goOn has the survivors send and get messages while a victim is dead or stands still.
func (s *scene) goOn() {
	s.t.Helper()
	const n = 12
	s.pump()
	s.fed(s.feed(3, n))
	for seq := range n {
		proctest.Eventually(s.t, func() bool { return read(s.t, s.all.l, lGot+keyOf(3, seq)-1) > 0 }, "the survivors get what they put")
	}
	ok(s.t, s.q.Check())
}

// end closes the queue, takes the rest, and checks the books and the queue.
func (s *scene) end() {
	t := s.t
	t.Helper()
	ok(t, s.q.Close())
	ok(t, s.all.takeAll())
	for { // what was set aside
		d, err := s.q.DeadLetter()
		if errors.Is(err, ringbuf.ErrEmpty) {
			break
		}
		ok(t, err)
		key, err := readLetter(d.Bytes())
		ok(t, err)
		s.all.add(lGot, key)
		ok(t, d.Ack())
	}
	missing := 0
	for key := 1; key <= senders*roleMessages; key++ {
		put, got := uint64(0), uint64(0)
		for _, l := range append(s.ledgers, s.all.l, s.books[2], s.books[3]) {
			put = max(put, read(t, l, lPut+key-1))
			got += read(t, l, lGot+key-1)
		}
		switch {
		case got > 1:
			t.Fatalf("message %d was delivered %d times", key, got)
		case got == 1 && put == 0:
			t.Fatalf("message %d was delivered and never put", key)
		case got == 0 && put == 2:
			missing++
		}
	}
	if missing > s.lost {
		t.Fatalf("%d messages whose put had returned are lost; the dead can have taken %d for good", missing, s.lost)
	}
	ok(t, s.q.Check())
	if n, err := s.q.Len(); n != 0 || err != nil {
		t.Fatalf("Len of a drained queue is %d, %v", n, err)
	}
	if n, err := s.q.Unfinished(); n != 0 || err != nil {
		t.Fatalf("Unfinished of a drained queue is %d, %v", n, err)
	}
	if used := ringbuf.UsedSlots(s.q); len(used) > 0 {
		t.Fatalf("slots of a drained queue are not free: %v", used)
	}
	if n := ringbuf.UsedUnits(s.q); n > 0 {
		t.Fatalf("%d units of a drained queue are not free", n)
	}
}

// long says that the long form of the tests is to run.
var long = os.Getenv("RINGBUF_LONG") != ""

func mpmcPasses() []int {
	if long {
		return []int{1, 2, 3, 5, 9, 19}
	}
	return []int{1, 4}
}

// A setting is what a victim of a role finds.
type setting struct {
	role  string
	o     ringbuf.MPMCOptions
	first string // where another has died before it: its role @ the point
	busy  bool   // survivors work meanwhile
}

func (c setting) String() string { return strings.Trim(c.role+","+c.first, ",") }

// corpse kills the one who dies first.
func (c setting) corpse(s *scene) {
	role, at, _ := strings.Cut(c.first, "@")
	p, l := s.victim(role, "kill:"+at+":1", 0)
	if !wasKilled(s.t, p) {
		s.t.Fatalf("nobody died at %s", c.first)
	}
	proctest.Dead(s.t, s.seg)
	s.died(l, at)
	ok(s.t, s.q.Check())
}

// play has a victim play its part, to be killed or stopped at a point, or stopped and then killed, while the survivors go on. It reports whether the victim came to
// the point.
func (c setting) play(t *testing.T, how, point string, pass int) bool {
	s := newScene(t, c.o)
	if c.first != "" {
		c.corpse(s)
	}
	var feeding chan error
	if c.busy {
		feeding = s.feed(2, roleMessages)
		if c.role != "get" {
			s.pump()
		}
	}
	p, l := s.victim(c.role, fmt.Sprintf("%s:%s:%d", strings.TrimSuffix(how, "+kill"), point, pass), 1)
	stopped := false
	proctest.Eventually(t, func() bool {
		stopped = how != "kill" && proctest.Stopped(t, p.PID())
		return stopped || !p.Alive()
	}, "a victim comes to its point, or to its end")
	if !s.q.Closed() {
		s.goOn()
	}
	if feeding != nil {
		s.fed(feeding)
	}
	hit := stopped
	if stopped {
		ok(t, s.q.Check())
		if how == "stop+kill" {
			ok(t, p.Kill())
		} else {
			if c.role != "put" && s.stop != nil {
				ok(t, s.stop())
			}
			proctest.Continue(t, p.PID())
			if c.role == "alone" || c.role == "mend" { // it may wait for a message that the survivors have taken
				_ = s.all.put(0, 0, roleMessages-1)
			}
		}
		if c.role == "get" && how == "stop" { // the survivors have taken what it waits for
			ok(t, s.q.Close())
		}
	}
	if wasKilled(t, p) {
		hit = true
		s.died(l, point)
	}
	proctest.Dead(t, s.seg)
	if s.stop != nil {
		ok(t, s.stop())
	}
	s.end()
	return hit
}

var settings = []setting{
	{role: "put", o: roleQueue, busy: true},
	{role: "get", o: roleQueue, busy: true},
	{role: "alone", o: roleQueue},
	{role: "dead", o: ringbuf.MPMCOptions{Capacity: 3, Spares: 6, MessageSize: 32, Bytes: 16 << 10, Members: 8, MaxDeliveries: 1}},
	{role: "mend", o: roleQueue, first: "alone@mpmc.fast.taken"},
	{role: "mend", o: roleQueue, first: "alone@mpmc.get.taken"},
	{role: "mend", o: roleQueue, first: "alone@mpmc.release.emptied"},
	{role: "mend", o: roleQueue, first: "alone@mpmc.nacked"},
	{role: "mend", o: roleQueue, first: "alone@mpmc.units.claimed"},
	{role: "mend", o: roleQueue, first: "alone@mpmc.fast.announced"},
	{role: "mend", o: roleQueue, first: "alone@mpmc.put.announced"},
}

// seenIn runs a setting undisturbed and returns the points that its victim passes.
func (c setting) seenIn(t *testing.T) []string {
	t.Helper()
	s := newScene(t, c.o)
	if c.first != "" {
		c.corpse(s)
	}
	var feeding chan error
	if c.busy {
		feeding = s.feed(2, roleMessages)
		if c.role != "get" {
			s.pump()
		}
	}
	l := newLedger(t, lSize)
	s.ledgers = append(s.ledgers, l)
	p, seen := startSeeing(t, roleTarget, roleArg{Seg: s.seg, Ledger: l, Role: c.role, Sender: 1})
	points := seen()
	ok(t, p.Wait(proctest.Context(t)))
	if feeding != nil {
		s.pump()
		s.fed(feeding)
	}
	if s.stop != nil {
		ok(t, s.stop())
	}
	s.end()
	return slices.DeleteFunc(points, func(p string) bool { return !strings.HasPrefix(p, "mpmc.") && !strings.HasPrefix(p, "members.") })
}

// TestCrashMPMC kills and stops a process at each point that it passes, in each part that it may play on a queue, mending what
// others have left included: the survivors go on meanwhile, no message is lost or comes twice, and the queue is whole in the end.
func TestCrashMPMC(t *testing.T) {
	h := hits{}
	kills, stops, skipped := 0, 0, 0
	for _, c := range settings {
		for _, point := range c.seenIn(t) {
			for _, pass := range mpmcPasses() {
				for _, how := range []string{"kill", "stop", "stop+kill"} {
					if how != "kill" && !long && (pass > 1 || h[how+" "+point]) {
						continue
					}
					skipped++
					t.Run(fmt.Sprintf("%v/%s/%s/%d", c, how, point, pass), func(t *testing.T) {
						skipped--
						if !c.play(t, how, point, pass) {
							return
						}
						h[how+" "+point] = true
						if how != "kill" {
							stops++
						}
						if how != "stop" {
							kills++
							h[point] = true
						}
					})
				}
			}
		}
	}
	t.Logf("%d kills, %d stops", kills, stops)
	if skipped > 0 {
		return // a part of it was asked for
	}
	points := append(proctest.Points(t, "mpmc."), proctest.Points(t, "", "../internal/owner/members.go")...)
	h.wantAll(t, points)
	for _, p := range points {
		if !h["stop "+p] {
			t.Errorf("no process stopped at the crash point %s", p)
		}
	}
}
