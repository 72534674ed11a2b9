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
	s := Scenario{
		Name: "queue/spsc/" + sizeName(size),
		Doc: fmt.Sprintf("one message of %s from one producer to one consumer, each message published by itself; queues of %d messages, rings and kernel buffers of %d KiB; "+
			"who takes copies the message into one buffer, only cpython makes an object of each",
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
	if size <= mqLargest {
		s.Impls = append(s.Impls, mqImpl("stream", size))
	}
	return s
}

// batchScenario publishes many messages at once.
func batchScenario(size int) Scenario {
	return Scenario{
		Name: "queue/spsc-batch/" + sizeName(size),
		Doc: fmt.Sprintf("one message of %s from one producer to one consumer, who put and get %d at a time; goroutine sends as many as one message through its channel, "+
			"cring publishes each by itself", sizeName(size), batchMessages),
		Impls: []Impl{
			multiprocBatch(size),
			goroutineBatch(),
			cImpl("cring", "spsc", size, queueBytes(size)),
		},
	}
}

// mpmcScenario has producers and consumers. CPython is left out where it would take a whole round to start its processes.
func mpmcScenario(producers, consumers, size int) Scenario {
	capacity := queueMessages(size)
	s := Scenario{
		Name:  fmt.Sprintf("queue/mpmc-%dx%d/%s", producers, consumers, sizeName(size)),
		Doc:   mpmcDoc(producers, consumers, size, capacity),
		Impls: mpmcImpls(producers, consumers, size, capacity),
	}
	if size != 64 || producers == 4 {
		s.Long, s.Rounds = true, curveRounds
	}
	if size != 64 {
		s.Doc += "; multiproc and cring copy each message that they take into one buffer, cpython makes an object of it, goroutine copies it into a buffer that travels, and out of it"
	}
	return s
}

// smallCapacity is that of a queue which is full at once.
const smallCapacity = 8

// fullScenario has a queue so small that who puts waits for who gets, and the other way round, again and again.
func fullScenario(producers, consumers int) Scenario {
	const size = 64
	return Scenario{
		Name:  fmt.Sprintf("queue/full-%dx%d/%s", producers, consumers, sizeName(size)),
		Doc:   mpmcDoc(producers, consumers, size, smallCapacity) + ": what it costs to wait for each other",
		Impls: mpmcImpls(producers, consumers, size, smallCapacity),
		Long:  true, Rounds: curveRounds,
	}
}

func mpmcDoc(producers, consumers, size, capacity int) string {
	waits := "gives its CPU away"
	if yieldAfter(producers, consumers) > 1 {
		waits = "spins"
	}
	return fmt.Sprintf("one message of %s through a queue of %d messages with %s and %s; cring is D. Vyukov's queue, "+
		"which %s when it has to wait and which a kill can block for ever",
		sizeName(size), capacity, plural(producers, "producer"), plural(consumers, "consumer"), waits)
}

// yieldAfter returns how often D. Vyukov's queue looks again before it gives its CPU away. Two can have a CPU each, and a system
// call would only be in the way.
func yieldAfter(producers, consumers int) int {
	if producers+consumers == 2 {
		return 64
	}
	return 1
}

func mpmcImpls(producers, consumers, size, capacity int) []Impl {
	impls := []Impl{
		multiprocMPMC(producers, consumers, size, capacity),
		goroutineMPMC(producers, consumers, size, capacity),
	}
	if producers+consumers <= 4 {
		impls = append(impls, cpythonImpl("mpmc", capacity, producers, consumers, size))
	}
	return append(impls, cImpl("cring", "mpmc", capacity, producers, consumers, yieldAfter(producers, consumers), size))
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
		Doc: "one round trip: a message of 64 bytes there, and its echo back; pthread hands over by futex and really sleeps, as who waits for a pipe, a socket, " +
			"an eventfd or a POSIX message queue does; crings are two rings that only spin, cring the floor, one 8-byte word each way without a queue",
		Impls: []Impl{
			multiprocRTT(),
			goroutineRTT(queueMessages(size)),
			pipeRTT(size),
			socketRTT(size),
			cpythonImpl("rtt", queueMessages(size)),
			cImpl("pthread", "futex"),
			eventfdRTT(size),
			mqImpl("rtt", size),
			cImpl("crings", "spsc", size, queueBytes(size), "rtt"),
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
		Doc:  "one atomic addition to a shared integer, by two processes at once; CPython has only the addition under the value's lock",
		Impls: []Impl{
			multiprocAddAtomic(k),
			goroutineAddAtomic(k),
			cpythonImpl("value", k),
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
