package torture

// QueueVerdict says what became of an operation on a ringbuf.MPMC by the point at which its process died.
func QueueVerdict(op Op, at string) Outcome {
	switch op {
	case Putting:
		switch at {
		case "mpmc.fast.published", "mpmc.fast.hinted", "mpmc.put.published", "mpmc.put.hinted":
			return Happened
		case "event.raised": // it has told the others of its put, or of what it did while it waited
			return Unknown
		}
		return NotHappened
	case Acking, Landing:
		switch at {
		case "mpmc.fast.released", "mpmc.release.emptied", "mpmc.units.freed", "mpmc.released", "event.raised":
			return Happened
		}
		return NotHappened
	}
	return Unknown
}
