package manager

// waiters are those who wait for the same, the longest first.
type waiters[W comparable] []W

func (w *waiters[W]) add(x W) { *w = append(*w, x) }

// take removes and returns the first. There is one.
func (w *waiters[W]) take() W {
	var none W
	x := (*w)[0]
	(*w)[0] = none
	*w = (*w)[1:]
	return x
}

// remove takes one out, and reports whether it was there.
func (w *waiters[W]) remove(x W) bool {
	for i, have := range *w {
		if have == x {
			*w = append((*w)[:i:i], (*w)[i+1:]...)
			return true
		}
	}
	return false
}

// all removes and returns them all.
func (w *waiters[W]) all() []W {
	list := *w
	*w = nil
	return list
}
