package torture

// DieHere notes that the calling goroutine has passed the point at which the process in a slot dies.
func DieHere(b *Books, slot int) { b.Lane(slot, 0, 0).set(lBy, goroutine()) }
