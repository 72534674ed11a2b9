//go:build linux && amd64 && !race && !msan && !asan

package fork

import "syscall"

// via is how the nosplit functions call each other. The linker allows a chain of them some 800 bytes of stack, which they need more of when nothing is
// optimized, as for a debugger (-gcflags "all=-N -l"). A call of a variable ends the chain that it sees; that there is room for them all is seen to by
// makeStack and roomy. What is called so must not be given pointers to variables of the caller: those would be allocated.
var via = struct {
	syscall     func(nr, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err syscall.Errno)
	stop        func(f *forker, budget uint64) bool
	release     func(f *forker) bool
	list        func(f *forker, pass uint32) (int, bool)
	ask         func(f *forker, tid uint64, pass uint32) (bool, bool)
	check       func(f *forker) bool
	scene       func(f *forker) bool
	readPoller  func(f *forker) bool
	readTimers  func(f *forker) bool
	readPending func(f *forker) bool
	pendingOf   func(f *forker, tid uint64) (uint64, bool)
	readAll     func(f *forker, s step, path *byte) (int, bool)
	revive      func(f *forker)
	repoll      func(f *forker) bool
	retime      func(f *forker) bool
	reseed      func(f *forker, n uint64) bool
	swap        func(f *forker, s *slot) bool
	pending     func(f *forker, m uintptr, which uint64) bool
	report      func(f *forker, ok bool)
	die         func(f *forker)
	receive     func(f *forker, z *zygote) bool
	send        func(f *forker, k Kind, pid uint32)
}{}

// link sets the variables. It is called by this package's init: that they are set there, and not where they are declared, is because they call each other.
func link() {
	via.syscall = syscall.RawSyscall6
	via.stop, via.release, via.list, via.ask = (*forker).stop, (*forker).release, (*forker).list, (*forker).ask
	via.check, via.scene, via.readPoller, via.readTimers = (*forker).check, (*forker).scene, (*forker).readPoller, (*forker).readTimers
	via.readPending, via.pendingOf, via.readAll = (*forker).readPending, (*forker).pendingOf, (*forker).readAll
	via.revive, via.repoll, via.retime, via.reseed = (*forker).revive, (*forker).repoll, (*forker).retime, (*forker).reseed
	via.swap, via.pending, via.report, via.die = (*forker).swap, (*forker).pending, (*forker).report, (*forker).die
	via.receive, via.send = (*forker).receive, (*forker).send
}

const stackRoom = 16 << 10 // several times what they take

// makeStack makes the stack of the caller grow to have that room.
//
//go:noinline
func makeStack() byte {
	var room [stackRoom + 4096]byte
	return room[fk.pid%stackRoom]
}

// roomy reports whether the stack has the room, with all signals blocked, so that it stays so. The collector may have shrunk it before.
//
//go:nosplit
func (f *forker) roomy() bool {
	g, _, _ := self()
	return addr(&g)-uintptr(load64(g)) >= stackRoom // g.stack.lo stands first
}
