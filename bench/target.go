package bench

// A Bound says how a target's figure is to lie to its limit.
type Bound string

// The kinds of targets.
const (
	Ratio   Bound = "ratio"    // the median of the times, divided by the peer's of the same rounds, is at most the limit
	Faster  Bound = "faster"   // the peer's time, divided by that of the same rounds, is at least the limit
	Within  Bound = "within"   // the time is at most the limit, in nanoseconds
	AtMost  Bound = "at most"  // a further figure is at most the limit
	AtLeast Bound = "at least" // a further figure is at least the limit
)

// A Target is a figure that is to be reached.
type Target struct {
	What     string // in a few words
	Scenario string
	Impl     string
	Bound    Bound
	Limit    float64
	Peer     string // the implementation that a ratio is made to
	PeerOf   string // the scenario of the peer; "" is Scenario
	Metric   string // the name of the further figure, where it is not the time
	Regime   Regime // that it holds for; "" is the one that most samples were taken in
}

// PeerScenario returns the scenario that the peer is measured in.
func (t Target) PeerScenario() string {
	if t.PeerOf != "" {
		return t.PeerOf
	}
	return t.Scenario
}

// Reached reports whether a figure reaches the target.
func (t Target) Reached(v float64) bool {
	if t.Bound == Faster || t.Bound == AtLeast {
		return v >= t.Limit
	}
	return v <= t.Limit
}

// Enough is the fewest comparable samples that give a figure an interval.
const Enough = 6

// Comparable returns how many samples of a target's figure may stand in one median: of rounds that the peer, where there is one, was
// measured in as well, all in the target's regime, or, where it names none, in the one that has the most of them.
func (t Target) Comparable(samples []Sample) int {
	type round struct {
		run    string
		n      int
		regime Regime
	}
	own, peer := map[round]bool{}, map[round]bool{}
	for _, s := range samples {
		at := round{s.Run, s.Round, s.CountsFor()}
		if t.Regime != "" && at.regime != t.Regime {
			continue
		}
		if s.Scenario == t.Scenario && s.Impl == t.Impl {
			own[at] = true
		}
		if s.Scenario == t.PeerScenario() && s.Impl == t.Peer {
			peer[at] = true
		}
	}
	most, count := 0, map[Regime]int{}
	for at := range own {
		if t.Peer == "" || peer[at] {
			count[at.regime]++
			most = max(most, count[at.regime])
		}
	}
	return most
}

// Concerns reports whether the target's figure is made of samples of an implementation of a scenario.
func (t Target) Concerns(scenario, impl string) bool {
	return t.Scenario == scenario && t.Impl == impl || t.Peer == impl && t.PeerScenario() == scenario
}

// Targets returns the figures that the project wants to reach, in the order in which tables show them.
func Targets() []Target {
	return []Target{
		{What: "ring, each message published, against a C ring of the same design", Scenario: "queue/spsc/64B", Impl: Subject, Bound: Ratio, Limit: 1, Peer: "cring"},
		{What: "ring against a C ring, CPUs near", Scenario: "queue/spsc/64B", Impl: Subject, Bound: Ratio, Limit: 0.6, Peer: "cring", Regime: Near},
		{What: "ring against a C ring, CPUs far", Scenario: "queue/spsc/64B", Impl: Subject, Bound: Ratio, Limit: 1, Peer: "cring", Regime: Far},
		{What: "ring, messages in batches, against a C ring", Scenario: "queue/spsc-batch/64B", Impl: Subject, Bound: Ratio, Limit: 0.4, Peer: "cring"},
		{What: "round trip that spins, against a word each way in C", Scenario: "queue/rtt/64B", Impl: Subject, Bound: Ratio, Limit: 1.2, Peer: "cring"},
		{What: "round trip that spins, against two C rings", Scenario: "queue/rtt/64B", Impl: Subject, Bound: Ratio, Limit: 0.8, Peer: "crings"},
		{What: "queue for many, one to one, against Vyukov's in C", Scenario: "queue/mpmc-1x1/64B", Impl: Subject, Bound: Ratio, Limit: 1.2, Peer: "cring"},
		{What: "queue for many, undisturbed, against Vyukov's in C", Scenario: "queue/mpmc-solo/64B", Impl: Subject, Bound: Ratio, Limit: 1, Peer: "cring"},
		{What: "queue for many, two to two, against Vyukov's in C", Scenario: "queue/mpmc-2x2/64B", Impl: Subject, Bound: Ratio, Limit: 1, Peer: "cring"},
		{What: "queue for many, sixteen processes, against four: no collapse", Scenario: "queue/mpmc-8x8/64B", Impl: Subject, Bound: Ratio, Limit: 2, Peer: Subject, PeerOf: "queue/mpmc-2x2/64B"},
		{What: "64 KiB in place, against a C ring that copies", Scenario: "queue/lease/64KiB", Impl: Subject, Bound: Ratio, Limit: 0.05, Peer: "cring"},
		{What: "queue, one to one, against a channel, CPUs near", Scenario: "queue/mpmc-1x1/64B", Impl: Subject, Bound: Ratio, Limit: 0.5, Peer: Reference, Regime: Near},
		{What: "queue, one to one, against a channel, CPUs far", Scenario: "queue/mpmc-1x1/64B", Impl: Subject, Bound: Ratio, Limit: 1.5, Peer: Reference, Regime: Far},
		{What: "queue, one to one, against CPython's, CPUs near", Scenario: "queue/mpmc-1x1/64B", Impl: Subject, Bound: Faster, Limit: 300, Peer: "cpython", Regime: Near},
		{What: "queue, one to one, against CPython's, CPUs far", Scenario: "queue/mpmc-1x1/64B", Impl: Subject, Bound: Faster, Limit: 100, Peer: "cpython", Regime: Far},
		{What: "ring, against CPython's queue", Scenario: "queue/spsc/64B", Impl: Subject, Bound: Faster, Limit: 100, Peer: "cpython"},
		{What: "ring, 64 KiB, against CPython's queue", Scenario: "queue/spsc/64KiB", Impl: Subject, Bound: Faster, Limit: 100, Peer: "cpython"},

		{What: "pipe, round trip, both ends spin, against a pair of kernel pipes", Scenario: "pipe/rtt/64B", Impl: Subject, Bound: Ratio, Limit: 0.5, Peer: "pipe-polled"},
		{What: "pipe, round trip, both ends sleep, against a pair of kernel pipes", Scenario: "pipe/rtt-parked/64B", Impl: Subject, Bound: Ratio, Limit: 1.1, Peer: "pipe"},
		{What: "pipe, 64 KiB messages, against CPython's", Scenario: "pipe/throughput/64KiB", Impl: Subject, Bound: Faster, Limit: 50, Peer: "cpython"},
		{What: "a connection with authentication", Scenario: "pipe/connect", Impl: Subject, Bound: Within, Limit: 1e6},

		{What: "lock, undisturbed, against a robust pthread mutex", Scenario: "lock/uncontended", Impl: Subject, Bound: Ratio, Limit: 0.8, Peer: "pthread"},
		{What: "lock, two processes, against a pthread mutex", Scenario: "lock/contended-2", Impl: Subject, Bound: Ratio, Limit: 1, Peer: "pthread"},
		{What: "lock, two processes, fairness", Scenario: "lock/contended-2", Impl: Subject, Bound: AtLeast, Limit: 0.8, Metric: Fairness},
		{What: "lock, eight processes, against a pthread mutex", Scenario: "lock/contended-8", Impl: Subject, Bound: Ratio, Limit: 1, Peer: "pthread"},
		{What: "lock, eight processes, fairness", Scenario: "lock/contended-8", Impl: Subject, Bound: AtLeast, Limit: 0.5, Metric: Fairness},
		{What: "hand-over, both sides asleep, against a futex in C", Scenario: "lock/rtt", Impl: Subject, Bound: Ratio, Limit: 1.1, Peer: "pthread"},
		{What: "who waits for a lock whose owner is killed", Scenario: "lock/wait-death", Impl: Subject, Bound: Within, Limit: 5e6},
		{What: "10,000 goroutines that wait for locks, until all have theirs", Scenario: "wait/locks-10000", Impl: Subject, Bound: Within, Limit: 50e6},
		{What: "10,000 goroutines that wait for locks, threads", Scenario: "wait/locks-10000", Impl: Subject, Bound: AtMost, Limit: 16, Metric: Threads},
		{What: "value += 1 under its lock, against CPython's", Scenario: "value/add-locked-1", Impl: Subject, Bound: Faster, Limit: 30, Peer: "cpython"},
		{What: "value += 1 by two processes, against CPython's", Scenario: "value/add-locked-2", Impl: Subject, Bound: Faster, Limit: 30, Peer: "cpython"},
		{What: "atomic addition by two, against CPython's under a lock", Scenario: "value/add-atomic-2", Impl: Subject, Bound: Faster, Limit: 60, Peer: "cpython", PeerOf: "value/add-locked-2"},
		{What: "an element through a view, against a slice", Scenario: "memory/element", Impl: Subject, Bound: Ratio, Limit: 1.1, Peer: Reference},
		{What: "a segment of 1 MiB made, mapped and dropped, against the bare calls", Scenario: "memory/segment-1MiB", Impl: Subject, Bound: Ratio, Limit: 2, Peer: "memfd"},

		{What: "fork server, child ready, 10 MiB, against a bare fork", Scenario: "start/forkserver", Impl: Subject, Bound: Ratio, Limit: 1.3, Peer: "cfork"},
		{What: "fork server, child ready, 1 GiB, against a bare fork", Scenario: "start/forkserver-1GiB", Impl: Subject, Bound: Ratio, Limit: 1.15, Peer: "cfork"},
		{What: "fork server, asked by a process of 1 GiB, against one of 10 MiB", Scenario: "start/forkserver-1GiB-parent", Impl: Subject, Bound: Ratio, Limit: 1.2, Peer: Subject, PeerOf: "start/forkserver"},
		{What: "fork server with a second of initialisation, against spawn", Scenario: "start/forkserver-preloaded", Impl: Subject, Bound: Faster, Limit: 100, Peer: "spawn"},
		{What: "fork of a process of 1 GiB, against a bare fork", Scenario: "start/fork-1GiB", Impl: Subject, Bound: Ratio, Limit: 1.3, Peer: "cfork"},

		{What: "pool, one task a message, against CPython's", Scenario: "pool/map-chunk1", Impl: Subject, Bound: Faster, Limit: 30, Peer: "cpython"},
		{What: "pool, chunks as it likes, against CPython's", Scenario: "pool/map-auto", Impl: Subject, Bound: Ratio, Limit: 1, Peer: "cpython"},
		{What: "wordcount by a pool, against goroutines", Scenario: "pool/wordcount/2", Impl: Subject, Bound: Ratio, Limit: 1.15, Peer: Reference},

		{What: "manager, get from a dict over rings, against CPython's", Scenario: "manager/dict-get", Impl: Subject, Bound: Faster, Limit: 30, Peer: "cpython"},
		{What: "manager, set in a dict over rings, against CPython's", Scenario: "manager/dict-set", Impl: Subject, Bound: Faster, Limit: 30, Peer: "cpython"},
		{What: "manager, get over a unix socket, against CPython's", Scenario: "manager/dict-get", Impl: "multiproc-unix", Bound: Faster, Limit: 2, Peer: "cpython"},
		{What: "manager, set over a unix socket, against CPython's", Scenario: "manager/dict-set", Impl: "multiproc-unix", Bound: Faster, Limit: 2, Peer: "cpython"},
	}
}
