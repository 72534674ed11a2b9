package bench

import "fmt"

// elementScenario has memory that is used in place: what a view of a segment costs over a slice of the heap.
func elementScenario() Scenario {
	return Scenario{
		Name: "memory/element",
		Doc: fmt.Sprintf("one number written and one read in an array of %d, which stands in a first-level cache, with their bounds checked: multiproc through a view of a segment, "+
			"goroutine in a slice, cpython in a RawArray", elements),
		Impls: []Impl{multiprocElement(), goroutineElement(), cpythonImpl("element", elements, stride)},
	}
}

// segmentScenario has memory that is made to be shared and given back.
func segmentScenario() Scenario {
	return Scenario{
		Name: "memory/segment-1MiB",
		Doc: "one piece of 1 MiB made, mapped, written to once and dropped: multiproc a segment, goroutine a slice for the garbage collector, cpython a SharedMemory, which has a name, " +
			"memfd the bare calls of the kernel for a file without one",
		Impls: []Impl{multiprocSegment(), goroutineSegment(), cpythonImpl("segment", segmentSize), memfdSegment()},
	}
}
