//go:build linux && amd64 && !race && !msan && !asan

package fork

// Bodies in fork_amd64.s. The first three are for it alone.

//lint:file-ignore U1000 The linter does not read assembly.

func stopHandler()
func restorer()
func returnAtGate()

// handler returns where the stop handler and the return from it are.
func handler() (entry, restore uintptr)

// self returns the calling thread's g, its m, and its thread pointer.
func self() (gp, mp, fs uintptr)

//go:noescape
func load64(addr uintptr) uint64

//go:noescape
func store64(addr uintptr, v uint64)

//go:noescape
func cloneThread(flags, uc, procid, fs, gate uintptr) int

//go:noescape
func cloneCaller(flags, procid, fs, gate, leader uintptr) int
