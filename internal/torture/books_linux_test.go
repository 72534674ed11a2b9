package torture_test

import (
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/torture"
)

// A play is a round on a queue that does what the test says, so that the books can be held against it.
type play struct {
	t *testing.T
	b *torture.Books
	h torture.History
}

func newPlay(t *testing.T) *play {
	t.Helper()
	b, err := torture.NewBooks(4, 1024, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return &play{t: t, b: b}
}

// lane is that of process n, in slot n.
func (p *play) lane(n int) *torture.Lane {
	l := p.b.Lane(n, 0, uint64(n))
	l.Mine()
	return l
}

// put puts one message.
func (p *play) put(l *torture.Lane) uint64 {
	id := l.ID()
	l.Put(id, 1)
	l.PutDone(1)
	return id
}

func (p *play) take(l *torture.Lane, id uint64, nth int) { l.Take(id, nth, false) }

func (p *play) ack(l *torture.Lane, id uint64) {
	l.Finish(id, false)
	l.Finished(id, true)
}

func (p *play) nack(l *torture.Lane, id uint64) {
	l.Finish(id, true)
	l.Finished(id, false)
}

// die buries process n; out is what the point that it died at says of its operation.
func (p *play) die(n int, at uint64, out torture.Outcome) {
	torture.DieHere(p.b, n)
	p.b.Bury(torture.Death{Process: uint64(n), Slot: n, Point: "p", Time: at},
		func(torture.Op, string) torture.Outcome { return out }, &p.h)
	p.b.Clear(n)
}

// want audits, and wants exactly these kinds of trouble.
func (p *play) want(kinds ...torture.Kind) {
	p.t.Helper()
	p.b.Audit(&p.h)
	list, total := p.b.Problems()
	if total != len(kinds) {
		p.t.Fatalf("%d problems %v, want %v", total, list, kinds)
	}
	for i, k := range kinds {
		if list[i].Kind != k {
			p.t.Errorf("problem %d is %v, want %v", i, list[i], k)
		}
	}
}

const ever = 1 << 62 // later than every note

func TestBooksGood(t *testing.T) {
	p := newPlay(t)
	a, b := p.lane(0), p.lane(1)
	for range 200 {
		id := p.put(a)
		p.take(b, id, 1)
		if id%3 == 0 {
			p.nack(b, id)
			p.take(a, id, 2)
			p.ack(a, id)
			continue
		}
		p.ack(b, id)
	}
	first := a.Run(4)
	a.Put(first, 4)
	a.PutDone(2)
	for id := first; id < first+2; id++ {
		place := b.Land()
		_ = append(place, byte(id))
		b.LandDone(id)
	}
	b.Blind(2)
	b.BlindDone()
	p.want()
	if p.b.Progress(0) == 0 || p.b.Progress(1) == 0 {
		t.Error("nobody has made progress")
	}
}

// TestBooksDeaths has processes die with a message in hand, at every stage.
func TestBooksDeaths(t *testing.T) {
	p := newPlay(t)
	a := p.lane(0)
	// In hand: it comes again, to another.
	id := p.put(a)
	p.take(p.lane(1), id, 1)
	p.die(1, 1, torture.NotHappened)
	p.take(p.lane(2), id, 2)
	p.ack(p.lane(2), id)
	// While it acknowledged: it is gone, or comes again.
	for _, out := range []torture.Outcome{torture.Happened, torture.NotHappened, torture.Unknown, torture.Unknown} {
		id := p.put(a)
		l := p.lane(1)
		p.take(l, id, 1)
		l.Finish(id, false)
		p.die(1, 1, out)
		if out == torture.NotHappened || id%2 == 0 && out == torture.Unknown {
			p.take(p.lane(2), id, 2)
			p.ack(p.lane(2), id)
		}
	}
	// While it put: delivered if the point says so, or if nobody can say.
	for _, out := range []torture.Outcome{torture.Happened, torture.NotHappened, torture.Unknown} {
		l := p.lane(3)
		id := l.ID()
		l.Put(id, 1)
		p.die(3, 1, out)
		if out == torture.Happened {
			p.take(p.lane(2), id, 1)
			p.ack(p.lane(2), id)
		}
	}
	p.want()
}

// TestBooksRed seeds what a broken queue would do.
func TestBooksRed(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(p *play)
		want []torture.Kind
	}{
		{"lost", func(p *play) { p.put(p.lane(0)) }, []torture.Kind{torture.Lost}},
		{"lost in a dead hand", func(p *play) {
			id := p.put(p.lane(0))
			p.take(p.lane(1), id, 1)
			p.die(1, ever, torture.NotHappened)
		}, []torture.Kind{torture.Lost}},
		{"lost before the acknowledgement", func(p *play) {
			id := p.put(p.lane(0))
			l := p.lane(1)
			p.take(l, id, 1)
			l.Finish(id, false)
			p.die(1, ever, torture.NotHappened)
		}, []torture.Kind{torture.Lost}},
		{"lost after the put of a dead", func(p *play) {
			l := p.lane(1)
			l.Put(l.ID(), 1)
			p.die(1, ever, torture.Happened)
		}, []torture.Kind{torture.Lost}},
		{"lost after it was given back", func(p *play) {
			id := p.put(p.lane(0))
			p.take(p.lane(1), id, 1)
			p.nack(p.lane(1), id)
		}, []torture.Kind{torture.Lost}},
		{"more lost than blind gets can have taken", func(p *play) {
			p.put(p.lane(0))
			p.put(p.lane(0))
			p.lane(1).Blind(1)
			p.die(1, ever, torture.Unknown)
		}, []torture.Kind{torture.Lost}},
		{"a hole in a batch", func(p *play) {
			l := p.lane(1)
			first := l.Run(3)
			l.Put(first, 3)
			p.die(1, ever, torture.Unknown)
			p.take(p.lane(2), first, 1)
			p.ack(p.lane(2), first)
			p.take(p.lane(2), first+2, 1)
			p.ack(p.lane(2), first+2)
		}, []torture.Kind{torture.Lost}},
		{"twice", func(p *play) {
			id := p.put(p.lane(0))
			p.take(p.lane(1), id, 1)
			p.ack(p.lane(1), id)
			p.take(p.lane(2), id, 2)
			p.nack(p.lane(2), id)
		}, []torture.Kind{torture.Duplicated}},
		{"twice after the acknowledgement of a dead", func(p *play) {
			id := p.put(p.lane(0))
			l := p.lane(1)
			p.take(l, id, 1)
			l.Finish(id, false)
			p.die(1, 1, torture.Happened)
			p.take(p.lane(2), id, 2)
			p.nack(p.lane(2), id)
		}, []torture.Kind{torture.Duplicated}},
		{"from a living hand", func(p *play) {
			id := p.put(p.lane(0))
			p.take(p.lane(1), id, 1)
			p.take(p.lane(2), id, 2)
			p.ack(p.lane(2), id)
			p.die(1, ever, torture.NotHappened) // too late for an excuse
		}, []torture.Kind{torture.Duplicated}},
		{"never put", func(p *play) {
			id := p.lane(0).ID()
			p.take(p.lane(1), id, 1)
			p.ack(p.lane(1), id)
		}, []torture.Kind{torture.Corrupt}},
		{"refused and delivered", func(p *play) {
			l := p.lane(0)
			id := l.ID()
			l.Put(id, 1)
			l.PutDone(0)
			l.Drop(id)
			p.take(p.lane(1), id, 1)
			p.ack(p.lane(1), id)
		}, []torture.Kind{torture.Corrupt}},
		{"delivered of one that died before its put", func(p *play) {
			l := p.lane(3)
			id := l.ID()
			l.Put(id, 1)
			p.take(p.lane(1), id, 1)
			p.ack(p.lane(1), id)
			p.die(3, ever, torture.NotHappened)
		}, []torture.Kind{torture.Corrupt}},
		{"no such id", func(p *play) { p.lane(1).Take(1<<40, 1, false) }, []torture.Kind{torture.Corrupt}},
		{"again, and said to be the first time", func(p *play) {
			id := p.put(p.lane(0))
			p.take(p.lane(1), id, 1)
			p.nack(p.lane(1), id)
			p.take(p.lane(2), id, 1)
			p.ack(p.lane(2), id)
		}, []torture.Kind{torture.Corrupt}},
		{"out of order", func(p *play) {
			a, l := p.lane(0), p.lane(1)
			x, y := p.put(a), p.put(a)
			p.take(l, y, 1)
			p.ack(l, y)
			p.take(l, x, 1)
			p.ack(l, x)
		}, []torture.Kind{torture.Disorder}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlay(t)
			c.do(p)
			p.want(c.want...)
		})
	}
}

// TestBooksOpen opens the books once more.
func TestBooksOpen(t *testing.T) {
	p := newPlay(t)
	b, err := torture.OpenBooks(p.b.Segment())
	if err != nil {
		t.Fatal(err)
	}
	b.SetControl(7)
	if p.b.Control() != 7 {
		t.Error("the control word is not shared")
	}
	for range 100 {
		b.Problem(torture.Lost, "%0300d", 1)
	}
	list, total := p.b.Problems()
	if total != 100 || len(list) == 0 || list[0].Kind != torture.Lost || len(list[0].Text) == 0 {
		t.Errorf("%d problems, %v", total, list)
	}
	l := p.lane(0)
	n := 0
	for l.ID() != 0 {
		n++
	}
	if n < 900 || !p.b.Spent() {
		t.Errorf("%d ids", n)
	}
}
