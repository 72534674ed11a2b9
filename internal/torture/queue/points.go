package queue

// A role is what a victim does most.
type role int

const (
	producer role = iota
	consumer
	repairer
	joiner
	waiter // sleeps until there is a message, or room
	sorter // gives back a lot, and reads what was set aside
	closer
	ender
)

// A need is what a queue must have for a point to be passed.
type need int

const (
	largeMessages need = 1 << iota
	deliveryLimit
	anEnd
)

// A point is a crash point of the queue, of the event counts that its users sleep on, or of who its members are; and who comes by.
type point struct {
	name  string
	roles []role
	needs need
	most  int // the highest pass to wait for; seldom passed points have a low one
}

var points = []point{
	{"mpmc.fast.claimed", []role{producer}, 0, 15},
	{"mpmc.fast.written", []role{producer}, 0, 15},
	{"mpmc.fast.announced", []role{producer}, 0, 15},
	{"mpmc.fast.published", []role{producer}, 0, 15},
	{"mpmc.fast.hinted", []role{producer}, 0, 15},
	{"mpmc.put.claimed", []role{producer}, 0, 20},
	{"mpmc.put.searched", []role{producer}, 0, 5},
	{"mpmc.put.written", []role{producer}, 0, 20},
	{"mpmc.put.located", []role{producer}, 0, 20},
	{"mpmc.put.announced", []role{producer}, 0, 20},
	{"mpmc.put.published", []role{producer}, 0, 20},
	{"mpmc.put.hinted", []role{producer}, 0, 20},
	{"mpmc.settle", []role{producer, repairer}, 0, 2},
	{"mpmc.units.claimed", []role{producer}, largeMessages, 40},
	{"mpmc.units.freed", []role{producer, consumer}, largeMessages, 40},
	{"mpmc.release.emptied", []role{producer, consumer}, largeMessages, 10},
	{"mpmc.released", []role{producer, consumer, repairer}, 0, 20},

	{"mpmc.fast.taken", []role{consumer}, 0, 20},
	{"mpmc.fast.head", []role{consumer}, 0, 20},
	{"mpmc.fast.read", []role{consumer}, 0, 20},
	{"mpmc.fast.released", []role{consumer}, 0, 20},
	{"mpmc.get.found", []role{consumer}, 0, 20},
	{"mpmc.get.taken", []role{consumer}, 0, 20},
	{"mpmc.get.hinted", []role{consumer}, 0, 20},
	{"mpmc.orphan.found", []role{consumer}, 0, 3},
	{"mpmc.orphan.taken", []role{consumer}, 0, 3},
	{"mpmc.orphan.aside", []role{sorter}, deliveryLimit, 1},
	{"mpmc.dead.taken", []role{sorter}, deliveryLimit, 1},
	{"mpmc.nacked", []role{consumer, sorter}, 0, 5},
	{"mpmc.orphaned", []role{consumer, repairer}, 0, 4},

	{"mpmc.repair.cell", []role{repairer}, 0, 3},
	{"mpmc.repair.cells", []role{repairer}, 0, 3},
	{"mpmc.repair.slot", []role{repairer}, 0, 3},
	{"mpmc.repair.mended", []role{repairer}, 0, 3},
	{"mpmc.repair.slots", []role{repairer}, 0, 3},
	{"mpmc.repair.unit", []role{repairer}, largeMessages, 3},
	{"mpmc.repair.told", []role{repairer}, 0, 3},
	{"members.bury", []role{repairer}, 0, 3},
	{"members.claimed", []role{repairer}, 0, 3},
	{"members.repaired", []role{repairer}, 0, 3},

	{"event.raised", []role{producer, consumer}, 0, 5},
	{"event.waiting", []role{waiter}, 0, 4},
	{"event.woken", []role{waiter}, 0, 4},

	{"members.join", []role{joiner}, 0, 3},
	{"members.joined", []role{joiner}, 0, 3},
	{"owner.join.claimed", []role{joiner}, 0, 3},
	{"owner.join.locked", []role{joiner}, 0, 3},
	{"owner.join.buried", []role{joiner}, 0, 2},
	{"owner.join.filled", []role{joiner}, 0, 3},
	{"owner.leave.marked", []role{joiner}, 0, 3},

	{"mpmc.closed", []role{closer}, anEnd, 1},
	{"mpmc.get.ending", []role{ender}, anEnd, 1},
	{"mpmc.get.ended", []role{ender}, anEnd, 1},
}

// Names of all the points.
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
	panic("queue: no point " + name)
}

// instead are points that every victim passes soon, whatever it does most, when it has given up its own; members.join comes for certain, since
// it then opens the queue again and again.
var instead = []string{
	"mpmc.fast.claimed", "mpmc.fast.taken", "mpmc.put.written", "mpmc.get.taken", "mpmc.put.claimed", "mpmc.get.found", "members.join",
}
