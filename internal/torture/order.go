package torture

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/shm"
)

// An Order tells a victim which process it is and where to die.
type Order struct {
	Books   *shm.Segment
	Slot    int
	Process uint64 // number, from 1
	Point   string
	Nth     int  // pass of the point
	Stop    bool // stop there, and die later
	Two     bool // two goroutines work
	Seed    uint64
	// Instead are points that the process passes all the time: when it does not come by Point for long, it dies at one of them.
	Instead []string
}

// What a victim writes down just before it dies or stops.
const (
	atNoPoint = iota
	atPoint
	atInstead // and the number of the point
)

// resumed is what the supervisor sets before it lets a stopped victim go on.
const resumed = ^uint64(0)

// A Victim is a process under an order.
type Victim struct {
	Order
	Books *Books

	first *Lane
	since time.Time
	steps int
	again int
}

// Victim opens the books; Arm makes the order effective.
func (o Order) Victim() (*Victim, error) {
	b, err := OpenBooks(o.Books)
	if err != nil {
		return nil, err
	}
	v := &Victim{Order: o, Books: b, first: b.Lane(o.Slot, 0, o.Process)}
	v.first.set(lProcess, o.Process)
	return v, nil
}

// Arm makes the order effective.
func (v *Victim) Arm() error {
	v.first.Mine()
	fault.Notice(v.note)
	verb := "kill"
	if v.Stop {
		verb = "stop"
	}
	return v.arm(verb, v.Point, v.Nth)
}

func (v *Victim) arm(verb, point string, nth int) error {
	v.since, v.steps = time.Now(), 0
	return fault.Arm(fmt.Sprintf("%s:%s:%d", verb, point, nth))
}

// goroutine returns the number of the calling goroutine, which the runtime tells only in print. Which goroutine of a process has
// passed the point is what decides whose operation the point says something of.
func goroutine() uint64 {
	var buf [64]byte
	_, rest, _ := bytes.Cut(buf[:runtime.Stack(buf[:], false)], []byte(" "))
	number, _, _ := bytes.Cut(rest, []byte(" "))
	n, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		panic(fmt.Sprintf("torture: the stack begins with %q", buf[:]))
	}
	return n
}

// note writes down where the process is about to die or stop, and when.
func (v *Victim) note(point string) {
	at := uint64(atPoint)
	if point != v.Point {
		for i, name := range v.Instead {
			if name == point {
				at = atInstead + uint64(i)
			}
		}
	}
	atomic.StoreUint64(v.first.word(lBy), goroutine())
	atomic.StoreUint64(v.first.word(lTime), uint64(time.Now().UnixNano()))
	atomic.StoreUint64(v.first.word(lPoint), at)
}

// A victim that has not passed its point in so much time and so many steps takes another.
const (
	enoughTime  = 100 * time.Millisecond
	enoughSteps = 300
)

// Step is called between operations by the first goroutine of a victim. In one that was stopped and goes on it arms the point
// once more, to kill; in one that does not come by its point it arms others.
func (v *Victim) Step() error {
	v.steps++
	switch {
	case v.Stop && v.first.get(lGo) == resumed: // not by the note, which another goroutine may have made just now
		v.Stop = false
		v.first.set(lPoint, atNoPoint)
		return v.arm("kill", v.Point, 1)
	case v.steps < enoughSteps || time.Since(v.since) < enoughTime:
		return nil
	}
	instead := v.Instead[v.again%len(v.Instead)]
	v.again++
	v.Stop = false
	return v.arm("kill", instead, 1)
}

// point returns the name of the point that a victim has noted, "" when it has not.
func (o *Order) point(noted uint64) string {
	switch {
	case noted == atNoPoint:
		return ""
	case noted == atPoint:
		return o.Point
	case int(noted-atInstead) < len(o.Instead):
		return o.Instead[noted-atInstead]
	}
	return ""
}

// Lost reports whether the victim has not come by its point for long and is to do a little of everything.
func (v *Victim) Lost() bool { return v.again > 0 }
