//go:build linux && amd64 && !race && !msan && !asan

package fork

import (
	"sync/atomic"
	"syscall"
)

var pathTask = [...]byte{'/', 'p', 'r', 'o', 'c', '/', 's', 'e', 'l', 'f', '/', 't', 'a', 's', 'k', 0}

// sigaction is the kernel's: handler, flags, restorer, mask.
type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

const (
	saSiginfo  = 0x4
	saRestorer = 0x04000000
	saOnstack  = 0x08000000
	saRestart  = 0x10000000
)

// block blocks all signals in the calling thread.
//
//go:nosplit
func (f *forker) block() bool {
	f.scratch[0] = ^uint64(0)
	_, ok := f.call(stepMask, syscall.SYS_RT_SIGPROCMASK, 2, addr(&f.scratch[0]), addr(&f.mask), 8)
	return ok
}

//go:nosplit
func (f *forker) unblock() { raw(syscall.SYS_RT_SIGPROCMASK, 2, addr(&f.mask), 0, 8) }

// stop stops all other threads within so many nanoseconds, or fails and has released those that it has stopped.
//
//go:nosplit
func (f *forker) stop(budget uint64) bool {
	f.round = (f.round + 1) & roundMask
	f.live = 0
	atomic.StoreUint64(&ground.n, 0)
	atomic.StoreUint32(&ground.stopped, 0)
	atomic.StoreUint32(&ground.gate, f.round)
	end := f.now() + budget
	for pass := uint32(1); ; pass++ {
		news, ok := via.list(f, pass)
		if !ok {
			return via.release(f)
		}
		if news == 0 && atomic.LoadUint32(&ground.stopped) == f.live {
			return true
		}
		for nap := uint64(50e3); ; nap *= 2 {
			n := atomic.LoadUint32(&ground.stopped)
			if n == f.live || nap > 2e6 { // in vain: some may have ended, or come
				break
			}
			f.scratch[2], f.scratch[3] = 0, nap
			via.syscall(syscall.SYS_FUTEX, addr(&ground.stopped), futexWaitPrivate, uintptr(n), addr(&f.scratch[2]), 0, 0)
		}
		if f.now() > end {
			f.fail(stepStop, syscall.ETIMEDOUT)
			return via.release(f)
		}
		if e := inject(stepStop); e != 0 {
			f.fail(stepStop, e)
			return via.release(f)
		}
	}
}

const (
	futexWaitPrivate = 128
	futexWakePrivate = 129
)

// release lets the stopped threads go on. It returns false.
//
//go:nosplit
func (f *forker) release() bool {
	for i := range f.slots[:ground.n] {
		s := &f.slots[i]
		for {
			v := atomic.LoadUint64(&s.state)
			if v&kindMask == slotEnters { // it is at it
				raw(syscall.SYS_SCHED_YIELD, 0, 0, 0, 0)
				continue
			}
			if v&kindMask != slotAsked || atomic.CompareAndSwapUint64(&s.state, v, 0) {
				break
			}
		}
	}
	atomic.StoreUint32(&ground.gate, (f.round+1)&roundMask)
	raw(syscall.SYS_FUTEX, addr(&ground.gate), futexWakePrivate, 1<<30, 0)
	return false
}

// list lists the threads and asks those to stop that are new. It returns how many were, or whether the listing missed any.
//
//go:nosplit
func (f *forker) list(pass uint32) (news int, ok bool) {
	dir, ok := f.open(stepThreads, &pathTask[0])
	if !ok {
		return 0, false
	}
	threads := 0
	f.hint = 0
	for {
		n, ok := f.call(stepThreads, syscall.SYS_GETDENTS64, dir, addr(&f.buf[0]), uintptr(len(f.buf)), 0)
		if !ok {
			closeFD(dir)
			return 0, false
		}
		if n == 0 {
			break
		}
		for at := 0; at < int(n); {
			size := int(f.buf[at+16]) | int(f.buf[at+17])<<8
			tid := uint64(0)
			for i := at + 19; f.buf[i] >= '0' && f.buf[i] <= '9'; i++ {
				tid = tid*10 + uint64(f.buf[i]-'0')
			}
			at += size
			if tid == 0 {
				continue
			}
			threads++
			if tid == f.tid {
				continue
			}
			fresh, ok := via.ask(f, tid, pass)
			if !ok {
				closeFD(dir)
				return 0, false
			}
			if fresh {
				news++
			}
		}
	}
	// A directory of threads has two links more than there are threads.
	_, ok = f.call(stepThreads, syscall.SYS_FSTAT, dir, addr(&f.stat), 0, 0)
	closeFD(dir)
	if !ok {
		return 0, false
	}
	if uint64(threads)+2 != uint64(f.stat.Nlink) {
		news++
	}
	for i := range f.slots[:ground.n] { // those that are not there any more
		s := &f.slots[i]
		v := atomic.LoadUint64(&s.state)
		if v&kindMask == slotAsked && s.seen != pass && atomic.CompareAndSwapUint64(&s.state, v, 0) {
			f.live--
		}
	}
	return news, true
}

// ask asks a thread to stop, unless it was asked before.
//
//go:nosplit
func (f *forker) ask(tid uint64, pass uint32) (fresh, ok bool) {
	n := int(ground.n)
	for i := range n { // in most cases they come in the same order each time
		at := f.hint + i
		if at >= n {
			at -= n
		}
		s := &f.slots[at]
		if v := atomic.LoadUint64(&s.state); v>>32 == tid && v&kindMask != slotFree {
			s.seen = pass
			f.hint = at + 1
			return false, true
		}
	}
	if n == len(f.slots) {
		f.grow = true
		return false, f.fail(stepThreads, syscall.ENOBUFS)
	}
	s := &f.slots[n]
	s.seen, s.pend = pass, ^uint64(0)
	atomic.StoreUint64(&s.state, tid<<32|uint64(f.round)<<2|slotAsked)
	atomic.StoreUint64(&ground.n, uint64(n+1))
	f.live++
	if _, ok := f.call(stepSignal, syscall.SYS_TGKILL, uintptr(f.pid), uintptr(tid), stopSignal, 0); !ok && f.failErrno != syscall.ESRCH {
		return false, false
	}
	return true, true
}

// install makes sure that the stop handler is the one of its signal. It stays for good: a signal may come late.
//
//go:nosplit
func (f *forker) install() bool {
	entry, restore := handler()
	if _, ok := f.call(stepHandler, syscall.SYS_RT_SIGACTION, stopSignal, 0, addr(&f.action), 8); !ok {
		return false
	}
	if f.action.handler == entry {
		return true
	}
	if f.action.handler > 1 {
		return f.fail(stepHandler, syscall.EBUSY) // somebody else's
	}
	f.action = sigaction{entry, saSiginfo | saOnstack | saRestart | saRestorer, restore, ^uint64(0)}
	_, ok := f.call(stepHandler, syscall.SYS_RT_SIGACTION, stopSignal, addr(&f.action), 0, 8)
	return ok
}

// check verifies for every stopped thread what the rest depends on.
//
//go:nosplit
func (f *forker) check() bool {
	if e := inject(stepLayout); e != 0 {
		return f.fail(stepLayout, e)
	}
	leader := f.pid == f.tid
	if !f.sane(f.me, f.tid) {
		return f.fail(stepLayout, syscall.EINVAL)
	}
	f.notified = 0
	f.notify(f.mask)
	for i := range f.slots[:ground.n] {
		s := &f.slots[i]
		v := atomic.LoadUint64(&s.state)
		if v&kindMask == slotFree {
			continue
		}
		tid := v >> 32
		if v&kindMask != slotStopped || s.fs == 0 || uint64(s.g) != load64(s.fs-8) || uint64(s.m) != load64(s.g+48) || !f.sane(s.m, tid) {
			return f.fail(stepLayout, syscall.EINVAL)
		}
		if uint64(s.g) == load64(s.m) && carries(tid, s.uc) {
			return f.fail(stepLayout, syscall.EAGAIN)
		}
		f.notify(load64(s.uc + ucSigmask))
		leader = leader || tid == f.pid
	}
	if !leader {
		return f.fail(stepLayout, syscall.ESRCH)
	}
	return true
}

// Where the kernel has these of a thread in its ucontext.
const (
	ucRAX     = 144
	ucRSP     = 160
	ucRIP     = 168
	ucSigmask = 296
)

// carries reports whether a thread of the runtime, on its g0, has just been told its ID and may be about to write it to m.procid. Each does that once, when it
// begins (minit), and before has let signals through. In a child it would write the ID that its parent's thread has, and whatever the
// runtime sends the thread would never come: no goroutine on it could be preempted, and the world not be stopped. Until it is written the ID stands in RAX, and then on top
// of the stack. Where a call is to be made again RAX is the number of the call, which may well be a thread's ID where few processes are.
//
//go:nosplit
func carries(tid uint64, uc uintptr) bool {
	told := load64(uc+ucRAX)&(1<<32-1) == tid && !again(uc)
	return told || load64(uintptr(load64(uc+ucRSP)))&(1<<32-1) == tid
}

const syscallInstruction = 0x050f

// again reports whether a thread's next instruction is a system call.
//
//go:nosplit
func again(uc uintptr) bool { return load64(uintptr(load64(uc+ucRIP))-6)>>48 == syscallInstruction }

// rests reports whether a thread stands in a system call other than tgkill, and is not about to leave getpid. One that does not may be between those two, in
// the runtime's signalM: it has noted that it sends a signal, and in a child sends it to the parent.
//
//go:nosplit
func rests(pid uint64, uc uintptr) bool {
	rax := load64(uc + ucRAX)
	if load64(uintptr(load64(uc+ucRIP))-8)>>48 == syscallInstruction { // before it
		return rax != pid
	}
	return again(uc) && rax != syscall.SYS_TGKILL
}

// notify takes note of the mask of a thread: that of the runtime which receives for os/signal blocks all signals that can be, but for those that are asked for.
//
//go:nosplit
func (f *forker) notify(mask uint64) {
	if mask != 0 {
		f.notified |= ^mask
	}
}

// sane reports whether m is an m of the thread: m.g0.m is m, and m.procid is the thread's.
//
//go:nosplit
func (f *forker) sane(m uintptr, tid uint64) bool {
	if m == 0 {
		return false
	}
	g0 := uintptr(load64(m))
	return g0 != 0 && uintptr(load64(g0+48)) == m && load64(m+f.procid) == tid
}
