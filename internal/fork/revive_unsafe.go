//go:build linux && amd64 && !race && !msan && !asan

package fork

import (
	"sync/atomic"
	"syscall"
)

const (
	cloneVM           = 0x100
	cloneFS           = 0x200
	cloneFiles        = 0x400
	cloneSighand      = 0x800
	clonePidfd        = 0x1000
	cloneParent       = 0x8000
	cloneThreadFlag   = 0x10000
	cloneSysvsem      = 0x40000
	cloneSettls       = 0x80000
	cloneParentSettid = 0x100000

	// What the runtime makes its threads with, and that their tid is written to m.procid before they run.
	threadFlags = cloneVM | cloneFS | cloneFiles | cloneSighand | cloneSysvsem | cloneThreadFlag | cloneSettls | cloneParentSettid

	archSetFS = 0x1002
)

// revive makes the child whole, in the child, or ends it. It returns on the caller's stack, in what is the caller's thread from then on, when every thread
// is there; they go on once the gate is opened.
//
//go:nosplit
func (f *forker) revive() {
	f.child = true
	pid, _ := raw(syscall.SYS_GETPID, 0, 0, 0, 0)
	parent := f.pid
	f.pid = uint64(pid)
	if f.statusR != none {
		closeFD(f.statusR)
	}
	n := ground.n
	ground.n = 0
	f.childGate = 0
	if f.bind { // the first thread, which never ends: the setting is a thread's
		if _, ok := f.call(stepBind, syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0); !ok {
			via.die(f)
		}
	}
	if !via.repoll(f) || !via.retime(f) || !via.reseed(f, n) {
		via.die(f)
	}
	leader := -1
	for i := range f.slots[:n] {
		s := &f.slots[i]
		if s.state&kindMask != slotStopped {
			continue
		}
		if s.state>>32 == parent {
			leader = i
			continue
		}
		e := inject(stepThread)
		if e == 0 {
			e = errno(cloneThread(threadFlags, s.uc, s.m+f.procid, s.fs, addr(&f.childGate)))
		}
		if e != 0 {
			f.fail(stepThread, e)
			via.die(f)
		}
	}
	if leader < 0 { // the caller's thread is the first
		store64(f.me+f.procid, uint64(pid))
	} else if !via.swap(f, &f.slots[leader]) {
		via.die(f)
	}
	tid, _ := raw(syscall.SYS_GETTID, 0, 0, 0, 0)
	f.tid = uint64(tid)
	if !via.pending(f, f.me, f.mePend) {
		via.die(f)
	}
	for i := range f.slots[:n] {
		if s := &f.slots[i]; s.state&kindMask == slotStopped && !via.pending(f, s.m, s.pend) {
			via.die(f)
		}
	}
	via.report(f, true)
}

//go:nosplit
func errno(r int) syscall.Errno {
	if r < 0 {
		return syscall.Errno(-r)
	}
	return 0
}

// swap makes the calling thread, which is the first of its process, continue the first of the parent's, and a new one the caller. The runtime
// never lets its first thread end, because the process would look dead without its first.
//
//go:nosplit
func (f *forker) swap(s *slot) bool {
	store64(s.m+f.procid, f.pid)
	if _, ok := f.call(stepLeader, syscall.SYS_ARCH_PRCTL, archSetFS, s.fs, 0, 0); !ok {
		return false
	}
	e := inject(stepCaller)
	if e == 0 {
		e = errno(cloneCaller(threadFlags, f.me+f.procid, f.meFS, addr(&f.childGate), s.uc))
	}
	if e != 0 {
		return f.fail(stepCaller, e)
	}
	_, ok := f.call(stepCaller, syscall.SYS_SIGALTSTACK, addr(&f.altstack), 0, 0, 0)
	return ok
}

// repoll makes the poller anew under its old numbers. The old one is shared with the parent, and what would be done to it here would be
// done to the parent.
//
//go:nosplit
func (f *forker) repoll() bool {
	ep, ok := f.call(stepEpoll, syscall.SYS_EPOLL_CREATE1, syscall.EPOLL_CLOEXEC, 0, 0, 0)
	if !ok {
		return false
	}
	if _, ok = f.call(stepEpoll, syscall.SYS_DUP3, ep, f.epfd, syscall.O_CLOEXEC, 0); !ok {
		return false
	}
	closeFD(ep)
	ev, ok := f.call(stepEventfd, syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0, 0)
	if !ok {
		return false
	}
	if _, ok = f.call(stepEventfd, syscall.SYS_DUP3, ev, f.wakefd, syscall.O_CLOEXEC, 0); !ok {
		return false
	}
	closeFD(ev)
	for i := range f.regs[:f.nregs] {
		r := &f.regs[i]
		// struct epoll_event is packed.
		f.scratch[0] = uint64(r.events) | r.data<<32
		f.scratch[1] = r.data >> 32
		if _, ok := f.call(stepRegister, syscall.SYS_EPOLL_CTL, f.epfd, syscall.EPOLL_CTL_ADD, uintptr(r.fd), addr(&f.scratch[0])); !ok {
			return false
		}
	}
	// A wake-up that was under way was written to the old one, and nobody sends another until it has come.
	f.scratch[0] = 1
	_, ok = f.call(stepWake, syscall.SYS_WRITE, f.wakefd, addr(&f.scratch[0]), 8, 0)
	return ok
}

// retime makes the timers under their IDs, which the runtime will delete some day and must find. They are never armed. The kernel gives
// out the IDs of a process in order.
//
//go:nosplit
func (f *forker) retime() bool {
	top := uint64(0)
	for i := range f.timers[:f.ntimers] {
		top = max(top, uint64(f.timers[i])+1)
	}
	for id := range top {
		for i := range f.sigevent {
			f.sigevent[i] = 0
		}
		f.sigevent[1] = 1 << 32 // SIGEV_NONE
		f.scratch[0] = 0
		if _, ok := f.call(stepTimer, syscall.SYS_TIMER_CREATE, 1, addr(&f.sigevent), addr(&f.scratch[0]), 0); !ok {
			return false
		}
		if f.scratch[0] != id {
			return f.fail(stepTimer, syscall.ERANGE)
		}
		wanted := false
		for i := range f.timers[:f.ntimers] {
			wanted = wanted || uint64(f.timers[i]) == id
		}
		if !wanted {
			if _, ok := f.call(stepTimer, syscall.SYS_TIMER_DELETE, uintptr(id), 0, 0, 0); !ok {
				return false
			}
		}
	}
	return true
}

// reseed gives the generator of every thread (runtime.m.chacha8) a new seed and empties its buffer, so that its next number is of
// the new seed.
//
//go:nosplit
func (f *forker) reseed(n uint64) bool {
	if !f.reseedOne(f.me) {
		return false
	}
	for i := range f.slots[:n] {
		if s := &f.slots[i]; s.state&kindMask == slotStopped && !f.reseedOne(s.m) {
			return false
		}
	}
	return true
}

//go:nosplit
func (f *forker) reseedOne(m uintptr) bool {
	const sysGetrandom = 318
	if r, ok := f.call(stepSeed, sysGetrandom, m+f.rand+8*randBuffer, 32, 1, 0); !ok || r != 32 {
		if ok {
			f.fail(stepSeed, syscall.EAGAIN)
		}
		return false
	}
	at := m + f.rand + 8*(randBuffer+4) // i, n, c
	n := load64(at) >> 32
	store64(at, n|n<<32)
	store64(at+8, load64(at+8)&^(1<<32-1)) // c = 0; what stands behind it stays
	return true
}

// pending sends the signals again that may have been pending for a thread: a copy has none, and the runtime waits for what it has sent.
//
//go:nosplit
func (f *forker) pending(m uintptr, which uint64) bool {
	tid := uintptr(load64(m + f.procid))
	if which&(1<<(uint(syscall.SIGURG)-1)) != 0 {
		if _, ok := f.call(stepPending, syscall.SYS_TGKILL, uintptr(f.pid), tid, uintptr(syscall.SIGURG), 0); !ok {
			return false
		}
	}
	if which&(1<<(perThread-1)) != 0 {
		if _, ok := f.call(stepPending, syscall.SYS_TGKILL, uintptr(f.pid), tid, perThread, 0); !ok {
			return false
		}
	}
	return true
}

// openGate lets all threads of the child go on.
//
//go:nosplit
func (f *forker) openGate() {
	atomic.StoreUint32(&f.childGate, 1)
	raw(syscall.SYS_FUTEX, addr(&f.childGate), futexWakePrivate, 1<<30, 0)
}

// die reports the step that failed and ends the child.
//
//go:nosplit
func (f *forker) die() {
	via.report(f, false)
	for {
		raw(syscall.SYS_EXIT_GROUP, FailedChild, 0, 0, 0)
	}
}

// report tells whoever waits for the child how its revival went. The child is to end when that cannot be told because nobody is
// left that has asked for it.
//
//go:nosplit
func (f *forker) report(ok bool) {
	if f.socket != none {
		kind := Ready
		if !ok {
			kind = Failed
		}
		via.send(f, kind, uint32(f.pid))
		return
	}
	f.scratch[4] = 0
	if !ok {
		f.scratch[4] = uint64(f.failStep)<<32 | uint64(f.failErrno)
	}
	raw(syscall.SYS_WRITE, f.statusW, addr(&f.scratch[4]), 8, 0)
	closeFD(f.statusW)
}
