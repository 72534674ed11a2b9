package bench

import (
	"fmt"
	"strconv"
)

// queueMessages returns how many messages of size bytes a queue of the comparison holds: 1024, or 16 of the large ones,
// which would fill 64 MiB otherwise.
func queueMessages(size int) int {
	if size > 4<<10 {
		return 16
	}
	return 1024
}

// queueBytes returns how large the ring, the pipe and the socket buffer are: 128 KiB, the next power of two above 1024
// messages of 64 bytes with their headers, or 1 MiB for the large messages.
func queueBytes(size int) int {
	if size > 4<<10 {
		return 1 << 20
	}
	return 128 << 10
}

func sizeName(size int) string {
	if size >= 1<<10 {
		return strconv.Itoa(size>>10) + "KiB"
	}
	return strconv.Itoa(size) + "B"
}

func spscScenario(size int) Scenario {
	return Scenario{
		Name: "queue/spsc/" + sizeName(size),
		Doc: fmt.Sprintf("one message of %s from one producer to one consumer, each message published by itself; queues of %d messages, rings and kernel buffers of %d KiB",
			sizeName(size), queueMessages(size), queueBytes(size)>>10),
		Impls: []Impl{
			multiprocSPSC(size),
			goroutineSPSC(size),
			pipeSPSC(size),
			socketSPSC(size),
			cpythonImpl("spsc", size, queueMessages(size)),
			cImpl("cring", "spsc", size, queueBytes(size)),
		},
	}
}

// mpmcScenario has producers and consumers of 64-byte messages. CPython is left out where it would take a whole round to
// start its processes.
func mpmcScenario(producers, consumers int) Scenario {
	yieldAfter, waits := 1, "gives its CPU away"
	if producers+consumers == 2 { // each can have a CPU of its own, and a system call would only be in the way
		yieldAfter, waits = 64, "spins"
	}
	s := Scenario{
		Name: fmt.Sprintf("queue/mpmc-%dx%d/64B", producers, consumers),
		Doc: fmt.Sprintf("one message of 64 bytes through a queue of %d messages with %s and %s; cring is D. Vyukov's queue, "+
			"which %s when it has to wait and which a kill can block for ever",
			queueMessages(64), plural(producers, "producer"), plural(consumers, "consumer"), waits),
		Impls: []Impl{
			multiprocMPMC(producers, consumers),
			goroutineMPMC(producers, consumers),
		},
	}
	if producers+consumers <= 4 {
		s.Impls = append(s.Impls, cpythonImpl("mpmc", queueMessages(64), producers, consumers))
	}
	s.Impls = append(s.Impls, cImpl("cring", "mpmc", queueMessages(64), producers, consumers, yieldAfter))
	return s
}

func plural(n int, noun string) string {
	if n == 1 {
		return "one " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func soloScenario() Scenario {
	return Scenario{
		Name: "queue/mpmc-solo/64B",
		Doc: fmt.Sprintf("one put and one get of 64 bytes, in turn, by one process that nobody disturbs; the queue holds %d messages and is made for many; cring is D. Vyukov's",
			queueMessages(64)),
		Impls: []Impl{
			multiprocSolo(),
			goroutineSolo(),
			cImpl("cring", "mpmc", queueMessages(64), 0, 0, 1),
		},
	}
}

// leaseScenario has large messages that are never copied, and for comparison one implementation that copies them twice.
func leaseScenario(size int) Scenario {
	return Scenario{
		Name: "queue/lease/" + sizeName(size),
		Doc: fmt.Sprintf("one message of %s from one producer, who writes its first and last word in place, to one consumer, who reads them in place and "+
			"acknowledges; queues of %d messages; goroutine sends pointers to pooled buffers, cring copies the message in and out", sizeName(size), queueMessages(size)),
		Impls: []Impl{
			multiprocLease(size),
			goroutineLease(size),
			cImpl("cring", "spsc", size, queueBytes(size)),
		},
	}
}

func rttScenario() Scenario {
	const size = 64
	return Scenario{
		Name: "queue/rtt/64B",
		Doc: "one round trip: a message of 64 bytes there, and its echo back; pthread hands over by futex and really sleeps, " +
			"cring is the floor, one 8-byte word each way without a queue",
		Impls: []Impl{
			multiprocRTT(),
			goroutineRTT(queueMessages(size)),
			pipeRTT(size),
			socketRTT(size),
			cpythonImpl("rtt", queueMessages(size)),
			cImpl("pthread", "futex"),
			cImpl("cring", "pingpong"),
		},
	}
}

// lockScenario has k processes count under one lock until they have done all operations together: none of them ever has the
// lock to itself because the others are through with their part.
func lockScenario(name string, k int) Scenario {
	doc := "one lock, counter++, unlock by one process that nobody disturbs; pthread is a robust mutex"
	kind := "robust"
	if k > 1 {
		doc = fmt.Sprintf("one lock, counter++, unlock; %d processes take turns at one lock; pthread is a mutex without robustness, which is the faster one", k)
		kind = "plain"
	}
	return Scenario{
		Name: name,
		Doc:  doc,
		Impls: []Impl{
			multiprocLock(k),
			goroutineLock(k),
			cpythonImpl("lock", k),
			cImpl("pthread", "lock", k, "apart", kind),
		},
	}
}

func readScenario(k int) Scenario {
	return Scenario{
		Name:  fmt.Sprintf("lock/rwlock-read-%d", k),
		Doc:   fmt.Sprintf("one lock for reading, a look, unlock; %d processes read at once and nobody writes; CPython has no such lock", k),
		Impls: []Impl{multiprocRead(k), goroutineRead(k), cImpl("pthread", "rwlock", k)},
	}
}

func semaphoreScenario() Scenario {
	const permits = 4
	return Scenario{
		Name: "lock/semaphore",
		Doc: fmt.Sprintf("one permit of %d taken and given back by one process that nobody disturbs; goroutine uses a channel, pthread a POSIX semaphore",
			permits),
		Impls: []Impl{
			multiprocSemaphore(permits),
			goroutineSemaphore(permits),
			cpythonImpl("semaphore", permits),
			cImpl("pthread", "semaphore", permits),
		},
	}
}

func handoverScenario() Scenario {
	return Scenario{
		Name: "lock/rtt",
		Doc: "one round trip between two that really sleep until it is their turn: a word and 64 bytes in shared memory each way; " +
			"pthread is a bare futex in C, goroutine an unbuffered channel each way, cpython a semaphore",
		Impls: []Impl{
			multiprocHandover(),
			goroutineRTT(0),
			cpythonImpl("handover"),
			cImpl("pthread", "futex"),
		},
	}
}

func deathScenario() Scenario {
	pthread := cImpl("pthread", "death")
	pthread.Most = deaths
	return Scenario{
		Name: "lock/wait-death",
		Doc: "one death: the time from the SIGKILL of a lock's owner until a process that has slept for the lock goes on with it, and knows; " +
			"pthread is a robust mutex, whose owner's death the kernel tells; goroutines do not die, and CPython's lock is lost",
		Impls: []Impl{multiprocDeath(), pthread},
	}
}

func addLockedScenario(k int) Scenario {
	doc := "one addition to a shared value under the value's own lock, a robust mutex with pthread"
	if k > 1 {
		doc += fmt.Sprintf(", by %d processes at once", k)
	}
	return Scenario{
		Name: fmt.Sprintf("value/add-locked-%d", k),
		Doc:  doc,
		Impls: []Impl{
			multiprocAddLocked(k),
			goroutineAddLocked(k),
			cpythonImpl("value", k),
			cImpl("pthread", "lock", k, "beside", "robust"),
		},
	}
}

func addAtomicScenario() Scenario {
	const k = 2
	return Scenario{
		Name: "value/add-atomic-2",
		Doc:  "one atomic addition to a shared integer, by two processes at once; CPython has no such thing",
		Impls: []Impl{
			multiprocAddAtomic(k),
			goroutineAddAtomic(k),
			cImpl("cring", "add", k),
		},
	}
}

func startScenario() Scenario {
	return Scenario{
		Name: "start/spawn",
		Doc:  "one process from its start to its end: it does nothing; exec runs the same executable, which ends before its main",
		Impls: []Impl{
			multiprocStart(),
			goroutineStart(),
			execStart(),
			cpythonImpl("spawn"),
		},
	}
}
