//go:build linux && amd64 && !race && !msan && !asan

package fork

import (
	"sync"
	"syscall"
	"unsafe"
)

// groundState is what the stop handler and the stopper share. fork_amd64.s knows its layout.
type groundState struct {
	table   uintptr // of slots
	n       uint64  // slots in use; a slot is filled before it is counted
	gate    uint32  // the round in which stopped threads wait; a futex word
	stopped uint32  // threads that have stopped in this round; a futex word
}

var ground groundState

// A slot is a thread that is to be stopped. fork_amd64.s knows its layout. Its state is tid<<32 | round<<2 | kind:
//
//	kind      set by                     means
//	0 free    the stopper                nothing is asked of the thread, or it has ended
//	1 asked   the stopper, before it     the thread is to stop; it changes this to 2 itself, by compare and swap, so a signal
//	          sends the signal           that comes late finds a state that is not its own and returns
//	2 enters  the thread                 it fills the slot in; nobody else changes the slot
//	3 stopped the thread                 the slot is filled, and the thread waits while the gate has its round
type slot struct {
	state uint64
	uc    uintptr // its ucontext: where the kernel has saved its registers
	fs    uintptr
	g, m  uintptr
	pend  uint64 // signals pending for the thread alone, in a zygote
	seen  uint32 // the last listing that had it
	_     [3]uint32
}

var _ [64]byte = [unsafe.Sizeof(slot{})]byte{}

const (
	slotFree = iota
	slotAsked
	slotEnters
	slotStopped

	kindMask  = 3
	roundMask = 1<<30 - 1

	stopSignal = 34 // musl's SIGSYNCCALL: the runtime neither handles nor blocks it in any thread
	perThread  = 33 // the runtime's sigPerThreadSyscall
)

// A registration is one of the poller's.
type registration struct {
	fd     uint32
	events uint32
	data   uint64
}

// forker is what a fork works with. All of it is allocated before threads are stopped: from then until they are released, or made
// again, nothing may allocate, grow its stack, take a lock, or be preempted. So whatever runs in between is nosplit, with all signals
// blocked, and has its variables here.
type forker struct {
	slots  []slot
	regs   []registration
	timers []uint32
	buf    []byte // what is read from /proc

	nregs, ntimers uint64
	round          uint32
	live           uint32 // slots that are asked or more
	hint           int    // where in slots the next thread of a listing is looked for first
	grow           bool   // it failed because a table was too small

	pid, tid uint64
	me, meFS uintptr // the caller's m and thread pointer
	mask     uint64  // of the caller
	notified uint64  // what Notified returns, of the fork under way
	altstack [3]uint64

	procid, rand uintptr // offsets in m
	epfd, wakefd uintptr

	failStep  step
	failErrno syscall.Errno

	statusR, statusW uintptr
	socket           uintptr // of a zygote, otherwise none

	pidfd     uint64
	bind      bool // to the parent's life
	child     bool
	childGate uint32
	mePend    uint64 // as slot.pend, of the caller
	path      [64]byte
	scratch   [16]uint64
	sigevent  [8]uint64
	stat      syscall.Stat_t
	action    sigaction
	reply     [ReplySize / 4]uint32
	requestID uint64
}

const none = ^uintptr(0)

var (
	forkMu sync.Mutex // one fork at a time; the child has it too, and gives it back there
	fk     forker
	kept   [][]slot // tables that a late handler may still search
)

// makeRoom makes room for that many threads and registrations.
func (f *forker) makeRoom(threads, regs, text int) {
	if len(f.slots) < threads {
		f.slots = make([]slot, threads)
		kept = append(kept, f.slots)
		ground.n = 0
		ground.table = uintptr(unsafe.Pointer(&f.slots[0]))
	}
	if len(f.regs) < regs {
		f.regs = make([]registration, regs)
	}
	if f.timers == nil {
		f.timers = make([]uint32, maxTimers)
	}
	if n := max(64*threads, text, 1<<16); len(f.buf) < n {
		f.buf = make([]byte, n)
	}
}

//go:nosplit
func (f *forker) fail(s step, e syscall.Errno) bool {
	f.failStep, f.failErrno = s, e
	return false
}

// call makes a call that is a step: where it fails, the fork does.
//
//go:nosplit
func (f *forker) call(s step, nr, a1, a2, a3, a4 uintptr) (uintptr, bool) {
	if e := inject(s); e != 0 {
		return 0, f.fail(s, e)
	}
	r, _, e := via.syscall(nr, a1, a2, a3, a4, 0, 0)
	if e != 0 {
		return r, f.fail(s, e)
	}
	return r, true
}

// raw makes a call whose failure means nothing.
//
//go:nosplit
func raw(nr, a1, a2, a3, a4 uintptr) (uintptr, syscall.Errno) {
	r, _, e := via.syscall(nr, a1, a2, a3, a4, 0, 0)
	return r, e
}

//go:nosplit
func addr[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

//go:nosplit
func (f *forker) open(s step, path *byte) (uintptr, bool) {
	const atFDCWD = ^uintptr(99)
	return f.call(s, syscall.SYS_OPENAT, atFDCWD, addr(path), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
}

//go:nosplit
func closeFD(fd uintptr) { raw(syscall.SYS_CLOSE, fd, 0, 0, 0) }

// now is the monotonic clock in nanoseconds.
//
//go:nosplit
func (f *forker) now() uint64 {
	raw(syscall.SYS_CLOCK_GETTIME, 1, addr(&f.scratch[0]), 0, 0)
	return f.scratch[0]*1e9 + f.scratch[1]
}

// readAll reads a file of /proc into buf, whole, and returns its length.
//
//go:nosplit
func (f *forker) readAll(s step, path *byte) (int, bool) {
	fd, ok := f.open(s, path)
	if !ok {
		return 0, false
	}
	n := 0
	for {
		if n == len(f.buf) {
			f.grow = true
			f.fail(s, syscall.ENOBUFS)
			break
		}
		r, ok := f.call(s, syscall.SYS_READ, fd, addr(&f.buf[n]), uintptr(len(f.buf)-n), 0)
		if !ok {
			break
		}
		if r == 0 {
			closeFD(fd)
			return n, true
		}
		n += int(r)
	}
	closeFD(fd)
	return 0, false
}

func le64(b []byte) uint64 { return *(*uint64)(unsafe.Pointer(&b[0])) }
