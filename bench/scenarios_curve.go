package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// curveWorkers are the points of a contention curve: how many take part.
var curveWorkers = []int{1, 2, 4, 8, 16, 32, 64}

// curveRounds is how many samples a point has: the fewest from which a median has an interval.
const curveRounds = 6

// A curve is what contends at one of the points.
type curve struct {
	what  string
	doc   string // one sentence, with a place for the number of workers
	impls func(workers int) []Impl
	brief []int // the points that belong to the quick comparison
}

var curves = []curve{
	{
		"mutex", "one lock, counter++, unlock, by %s taking turns as fast as they can; pthread is a mutex without robustness, pthread-robust one with, futex one of three states in C",
		func(workers int) []Impl { return lockImpls(workers, 0) },
		[]int{1, 8},
	},
	{
		"mutex-hold1us", "one lock, counter++, a microsecond of work, unlock, by %s taking turns as fast as they can; the peers are those of curve/mutex",
		func(workers int) []Impl { return lockImpls(workers, time.Microsecond) },
		nil,
	},
	{
		"rwmutex-read", "one turn at a lock for readers and writers, of which nine in ten look at a value and one changes it, by %s taking turns; CPython has no such lock",
		func(workers int) []Impl {
			return []Impl{multiprocReadCurve(workers), goroutineReadCurve(workers), cReadCurve(workers)}
		},
		nil,
	},
	{
		"value-add", "one atomic addition to a shared integer, by %s taking turns; CPython has only the addition under the value's lock",
		func(workers int) []Impl {
			return []Impl{multiprocAddCurve(workers), goroutineAddCurve(workers), cpythonCurve("value_curve", workers), cAddCurve(workers)}
		},
		nil,
	},
	{
		"queue", "one message of 64 bytes through one queue of 1024, by %s: half of them put and half of them get, and one alone does both in turn; a latency is that of a " +
			"message, from before it is put until it has been got; cring is D. Vyukov's queue, mq a POSIX message queue",
		func(workers int) []Impl {
			return []Impl{
				multiprocQueueCurve(workers), goroutineQueueCurve(workers), cpythonCurve("queue_curve", workers, queueMessages(64)),
				cQueueCurve("cring", "vyukov", workers), cQueueCurve("pipe", "pipe", workers), cQueueCurve("unixsocket", "unixsocket", workers),
				needsMQ(cQueueCurve("mq", "mq", workers)),
			}
		},
		[]int{8},
	},
}

// holdScenario has some processes take turns at a lock that each keeps for so long. What is beyond that is the price of the lock.
func holdScenario(d time.Duration) Scenario {
	const workers = 4
	return Scenario{
		Name: "lock/hold-" + strings.Replace(d.String(), "µs", "us", 1),
		Doc: fmt.Sprintf("one lock, %v of work under it, unlock, by %s taking turns: what is beyond that is the price of the lock; pthread is a mutex without robustness, "+
			"pthread-robust one with, futex one of three states in C", d, processes(workers)),
		Impls:  lockImpls(workers, d),
		Rounds: curveRounds,
		Long:   true,
	}
}

// lockImpls are those of a lock that is held for so long.
func lockImpls(workers int, d time.Duration) []Impl {
	ns := int(d)
	return []Impl{
		multiprocLockCurve(workers, d), goroutineLockCurve(workers, d), cpythonCurve("lock_curve", workers, ns),
		cLockCurve("pthread", "plain", workers, ns), cLockCurve("pthread-robust", "robust", workers, ns), linuxOnly(cLockCurve("futex", "futex", workers, ns)),
	}
}

func processes(n int) string {
	if n == 1 {
		return "one process"
	}
	return fmt.Sprintf("%d processes", n)
}

// curveScenarios are the points of all contention curves.
func curveScenarios() []Scenario {
	var all []Scenario
	for _, c := range curves {
		for _, workers := range curveWorkers {
			all = append(all, Scenario{
				Name:   fmt.Sprintf("%s%s/%d", curvePrefix, c.what, workers),
				Doc:    fmt.Sprintf(c.doc, processes(workers)),
				Impls:  c.impls(workers),
				Rounds: curveRounds,
				Long:   !slices.Contains(c.brief, workers),
			})
		}
	}
	return all
}
