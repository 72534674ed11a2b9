package bench

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// A collection is what the garbage collector did in some span of time, in one process or in several together.
type collection struct {
	Cycles  uint64
	Pauses  uint64        // in which everything stood still
	Paused  time.Duration // all of them together
	Longest time.Duration // of them
	Time    time.Duration // of processors
}

func (c *collection) add(other collection) {
	c.Cycles += other.Cycles
	c.Pauses += other.Pauses
	c.Paused += other.Paused
	c.Longest = max(c.Longest, other.Longest)
	c.Time += other.Time
}

// A collectorReading is what the runtime says of the garbage collector since the process began.
type collectorReading struct {
	cycles uint64
	time   float64 // of processors, seconds
	pauses *metrics.Float64Histogram
}

func readCollector() collectorReading {
	s := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(s)
	return collectorReading{s[0].Value.Uint64(), s[1].Value.Float64(), s[2].Value.Float64Histogram()}
}

// since returns what happened between two readings. The runtime counts pauses in classes that are a quarter wide or less: a
// sum is of their middles, and the longest is the upper end of the highest one.
func (r collectorReading) since(begin collectorReading) collection {
	c := collection{Cycles: r.cycles - begin.cycles, Time: seconds(r.time - begin.time)}
	for i, n := range r.pauses.Counts {
		if n -= begin.pauses.Counts[i]; n == 0 {
			continue
		}
		low, high := r.pauses.Buckets[i], r.pauses.Buckets[i+1]
		if math.IsInf(low, -1) {
			low = 0
		}
		if math.IsInf(high, 1) {
			high = low
		}
		c.Pauses += n
		c.Paused += time.Duration(n) * seconds((low+high)/2)
		c.Longest = seconds(high)
	}
	return c
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// figures adds these to the further figures of a sample.
func (c collection) figures(extra map[string]string) {
	for name, n := range map[string]int64{
		GCCycles: int64(c.Cycles), GCPauses: int64(c.Pauses), GCPauseTime: int64(c.Paused), GCPauseMax: int64(c.Longest), GCTime: int64(c.Time),
	} {
		extra[name] = strconv.FormatInt(n, 10)
	}
}

// A footprint is the memory of processes together, in bytes: Resident counts a page that several share once for each,
// Proportional once in all. Where the kernel does not tell both are 0.
type footprint struct{ Resident, Proportional int }

// familyFootprint adds up this process and all that descend from it.
func familyFootprint() (f footprint) {
	for _, pid := range family(os.Getpid()) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // it has just ended
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 2 {
				continue
			}
			kib, _ := strconv.Atoi(fields[1])
			switch fields[0] {
			case "Rss:":
				f.Resident += kib << 10
			case "Pss:":
				f.Proportional += kib << 10
			}
		}
	}
	return f
}

// figures adds these to the further figures of a sample.
func (f footprint) figures(extra map[string]string) {
	if f.Resident > 0 {
		extra[Resident] = strconv.Itoa(f.Resident)
		extra[Proportional] = strconv.Itoa(f.Proportional)
	}
}

// family returns a process and those that descend from it.
func family(pid int) []int {
	all := []int{pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is well formed
	for _, task := range tasks {
		children, _ := os.ReadFile(task) // a thread that has ended has none
		for child := range strings.FieldsSeq(string(children)) {
			if n, err := strconv.Atoi(child); err == nil {
				all = append(all, family(n)...)
			}
		}
	}
	return all
}
