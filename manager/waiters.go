package manager

// waiters are calls that wait for the same, the longest first.
type waiters []*call

func (w *waiters) add(c *call) { *w = append(*w, c) }

// take removes and returns the first.
func (w *waiters) take() *call {
	if len(*w) == 0 {
		return nil
	}
	c := (*w)[0]
	(*w)[0] = nil
	*w = (*w)[1:]
	return c
}

// remove takes a call out, and reports whether it was there.
func (w *waiters) remove(c *call) bool {
	for i, have := range *w {
		if have == c {
			*w = append((*w)[:i:i], (*w)[i+1:]...)
			return true
		}
	}
	return false
}

// all removes and returns them all.
func (w *waiters) all() []*call {
	list := *w
	*w = nil
	return list
}
