//go:build amd64 && !race && !msan && !asan

package fork

var Version = version

// Carries and Rests look at a ucontext whose thread has these registers.
func Carries(tid, rax uint64, stack *uint64, rip uintptr) bool {
	uc := ucontext(rax, addr(stack), rip)
	return carries(tid, addr(&uc))
}

func Rests(pid, rax uint64, rip uintptr) bool {
	uc := ucontext(rax, 0, rip)
	return rests(pid, addr(&uc))
}

func ucontext(rax uint64, rsp, rip uintptr) (uc [64]uint64) {
	uc[ucRAX/8], uc[ucRSP/8], uc[ucRIP/8] = rax, uint64(rsp), uint64(rip)
	return uc
}
