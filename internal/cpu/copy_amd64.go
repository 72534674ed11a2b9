//go:build !race

package cpu

// copyWhole is the size from which on Copy leaves the work to the CPU. Below it, starting that costs more than it brings.
const copyWhole = 4 << 10

var wholeLines = movesWell()

// Copy copies as much of src to dst as both have, and returns how much that is. They do not overlap. It is for what comes from
// another CPU, or goes over what that has in its cache: where the CPU is good at it, one instruction copies all and takes over whole
// lines, many at a time, where stores wait for one line after the other.
func Copy(dst, src []byte) int {
	n := min(len(dst), len(src))
	if n < copyWhole || !wholeLines {
		return copy(dst, src)
	}
	moveBytes(&dst[0], &src[0], n)
	return n
}

// moveBytes copies n bytes, at least 64.
//
//go:noescape
func moveBytes(dst, src *byte, n int)

// movesWell reports whether the CPU says that it is good at moving bytes (ERMS and FSRM).
func movesWell() bool
