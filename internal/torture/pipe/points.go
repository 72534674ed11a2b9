package pipe

import (
	"github.com/fb2d3dbd/multiproc/internal/torture"
)

// A role is what a victim does most.
type role int

const (
	sender role = iota
	receiver
	opener // opens and closes handles all the time
	joiner // opens the memory again, as somebody else, and leaves it, or is left dead
	waiter // sleeps until there is a message, or room
	mender
	heir   // mends, and receives what the dead had in hand
	closer // of the scene of an end: it closes its handles and ends
	maker  // of the scene in which a pipe is made anew
)

// A point is a crash point that the users of a pipe pass, and who comes by.
type point struct {
	name  string
	roles []role
	most  int  // the highest pass to wait for; seldom passed points have a low one
	end   bool // it is passed when an end is closed
	anew  bool // it is passed when a pipe is made anew
}

var points = []point{
	{name: "pipe.hold", roles: []role{opener}, most: 10},
	{name: "pipe.placed", roles: []role{opener}, most: 10},
	{name: "pipe.joined", roles: []role{opener}, most: 10},
	{name: "pipe.leave", roles: []role{opener}, most: 10},
	{name: "pipe.leaving", roles: []role{opener}, most: 10},
	{name: "pipe.left", roles: []role{opener}, most: 10},
	{name: "pipe.block.made", roles: []role{sender}, most: 6},
	{name: "pipe.block.named", roles: []role{sender}, most: 6},
	{name: "pipe.block.claimed", roles: []role{sender}, most: 6},
	{name: "pipe.block.kept", roles: []role{sender}, most: 6},
	{name: "pipe.block.freed", roles: []role{receiver}, most: 6},

	{name: "pipe.closed", roles: []role{closer}, most: 1, end: true},
	{name: "pipe.ended", roles: []role{closer}, most: 2, end: true},
	{name: "mpmc.closed", roles: []role{closer}, most: 2, end: true},
	{name: "mpmc.get.ending", roles: []role{receiver}, most: 1, end: true},
	{name: "mpmc.get.ended", roles: []role{receiver}, most: 1, end: true},
	{name: "pipe.remake", roles: []role{maker}, most: 4, anew: true},
	{name: "pipe.wiped", roles: []role{maker}, most: 4, anew: true},

	{name: "mpmc.fast.claimed", roles: []role{sender}, most: 15},
	{name: "mpmc.fast.written", roles: []role{sender}, most: 15},
	{name: "mpmc.fast.announced", roles: []role{sender}, most: 15},
	{name: "mpmc.fast.published", roles: []role{sender}, most: 15},
	{name: "mpmc.fast.hinted", roles: []role{sender}, most: 15},
	{name: "mpmc.put.claimed", roles: []role{sender}, most: 10},
	{name: "mpmc.put.searched", roles: []role{sender}, most: 5},
	{name: "mpmc.put.written", roles: []role{sender}, most: 10},
	{name: "mpmc.put.located", roles: []role{sender}, most: 10},
	{name: "mpmc.put.announced", roles: []role{sender}, most: 10},
	{name: "mpmc.put.published", roles: []role{sender}, most: 10},
	{name: "mpmc.put.hinted", roles: []role{sender}, most: 10},
	{name: "mpmc.settle", roles: []role{sender, mender}, most: 2},
	{name: "mpmc.units.claimed", roles: []role{sender}, most: 20},
	{name: "mpmc.units.freed", roles: []role{receiver}, most: 20},
	{name: "mpmc.release.emptied", roles: []role{receiver}, most: 6},
	{name: "mpmc.released", roles: []role{receiver}, most: 10},

	{name: "mpmc.fast.taken", roles: []role{receiver}, most: 15},
	{name: "mpmc.fast.head", roles: []role{receiver}, most: 15},
	{name: "mpmc.fast.read", roles: []role{receiver}, most: 15},
	{name: "mpmc.fast.released", roles: []role{receiver}, most: 15},
	{name: "mpmc.get.found", roles: []role{receiver}, most: 10},
	{name: "mpmc.get.taken", roles: []role{receiver}, most: 10},
	{name: "mpmc.get.hinted", roles: []role{receiver}, most: 10},
	{name: "mpmc.orphan.found", roles: []role{heir}, most: 1},
	{name: "mpmc.orphan.taken", roles: []role{heir}, most: 1},
	{name: "mpmc.orphaned", roles: []role{mender}, most: 3},

	{name: "mpmc.repair.cell", roles: []role{mender}, most: 2},
	{name: "mpmc.repair.cells", roles: []role{mender}, most: 3},
	{name: "mpmc.repair.slot", roles: []role{mender}, most: 2},
	{name: "mpmc.repair.mended", roles: []role{mender}, most: 2},
	{name: "mpmc.repair.slots", roles: []role{mender}, most: 3},
	{name: "mpmc.repair.unit", roles: []role{mender}, most: 2},
	{name: "mpmc.repair.told", roles: []role{mender}, most: 3},
	{name: "members.bury", roles: []role{mender}, most: 3},
	{name: "members.claimed", roles: []role{mender}, most: 3},
	{name: "members.repaired", roles: []role{mender}, most: 3},

	{name: "event.raised", roles: []role{sender, receiver}, most: 5},
	{name: "event.waiting", roles: []role{waiter}, most: 4},
	{name: "event.woken", roles: []role{waiter}, most: 4},

	{name: "members.join", roles: []role{joiner}, most: 3},
	{name: "members.joined", roles: []role{joiner}, most: 3},
	{name: "owner.join.claimed", roles: []role{joiner}, most: 3},
	{name: "owner.join.locked", roles: []role{joiner}, most: 3},
	{name: "owner.join.buried", roles: []role{joiner}, most: 2},
	{name: "owner.join.filled", roles: []role{joiner}, most: 3},
	{name: "owner.leave.marked", roles: []role{joiner}, most: 3},
}

// never are the points of the queue that a pipe has no use of: of a limit of deliveries, and of messages given back.
var never = []string{"mpmc.orphan.aside", "mpmc.dead.taken", "mpmc.nacked"}

func names() []string {
	all := make([]string, len(points))
	for i, p := range points {
		all[i] = p.name
	}
	return all
}

func find(name string) point {
	for _, p := range points {
		if p.name == name {
			return p
		}
	}
	panic("pipe: no point " + name)
}

// instead are points that every victim passes soon when it has given up its own; those of an opening come for certain.
var instead = []string{"mpmc.fast.claimed", "mpmc.fast.taken", "mpmc.put.written", "mpmc.get.taken", "pipe.placed", "pipe.leaving", "pipe.hold"}

// verdict says what became of an operation by where its process died. The document of the pipe says so: a message whose put was published comes, a
// message that was taken and not yet given up comes to another.
func verdict(op torture.Op, at string) torture.Outcome {
	if at == "pipe.block.freed" && (op == torture.Acking || op == torture.Landing) {
		return torture.Happened
	}
	return torture.QueueVerdict(op, at)
}

// gone reports whether a holder that died at a point may have given its last handle up before.
func gone(at string) bool {
	switch at {
	case "", "pipe.leaving", "pipe.closed", "mpmc.closed", "pipe.ended", "pipe.left", "event.raised":
		return true
	}
	return false
}
