//go:build linux && amd64 && !race && !msan && !asan

package fork

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// Freeze turns this process into a zygote for good. It is called by the main goroutine on the process's first thread (runtime.LockOSThread in
// an init function), when everything is prepared that the children are to have. It returns in each child with the request that
// it was made for, or with an error before anything was frozen.
//
// The zygote is in a loop of raw calls from then on: all its signals are blocked, only SIGKILL and SIGSTOP reach it. It exits
// with 0 when the peer has closed the socket. Requests are handled one after the other, and any number of children may be under way.
// The children are children of the zygote's parent, with native exit status and signals. The asker must read the replies: a
// zygote and its children wait until there is room for them.
func Freeze(o FreezeOptions) (r *Request, err error) {
	if o.MaxData < 0 || o.MaxData > MaxRequestData || o.MaxFDs < 0 || o.MaxFDs > MaxRequestFDs || o.Procs < -1 {
		return nil, fmt.Errorf("fork: options out of range: %+v", o)
	}
	if err := Available(); err != nil {
		return nil, err
	}
	if err := seqpacket(o.Socket); err != nil {
		return nil, &FactError{"zygote's socket", err}
	}
	if err := alone(); err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if syscall.Gettid() != os.Getpid() {
		return nil, &FactError{"first thread", errors.New("Freeze is called on another; an init function must lock the main goroutine to its thread")}
	}
	runtime.GC() // now, and not in every child
	if o.HugePages {
		collapse()
	}
	if o.Procs != 0 { // now, and not in every child, which would stop its world
		before := runtime.GOMAXPROCS(0)
		defer func() {
			if err != nil {
				runtime.GOMAXPROCS(before)
			}
		}()
		if o.Procs > 0 {
			runtime.GOMAXPROCS(o.Procs)
		} else {
			runtime.SetDefaultGOMAXPROCS()
		}
	}
	forkMu.Lock()
	f := &fk
	z := &zygote{maxFDs: uint64(o.MaxFDs), socket: uintptr(o.Socket)}
	z.data = make([]byte, HeaderSize+o.MaxData+1) // one more than allowed, to see that there is more
	z.control = make([]uint64, (syscall.CmsgSpace(4*o.MaxFDs)+7)/8+2)
	// No pointer is written from now on: the garbage collector may stand still in the middle of its work.
	z.iov.Base, z.iov.Len = &z.data[0], uint64(len(z.data))
	z.msg.Iov, z.msg.Iovlen = &z.iov, 1
	z.msg.Control = (*byte)(unsafe.Pointer(&z.control[0]))
	f.socket, f.bind = z.socket, false
	_, err = f.tries(func(budget uint64) (uintptr, bool) { return 0, f.freeze(z, budget) })
	f.child = false
	forkMu.Unlock()
	if err != nil {
		return nil, err
	}
	// A child.
	r = &Request{ID: z.id, Data: append([]byte(nil), z.data[HeaderSize:z.n]...)}
	for i := range int(z.nfds) {
		r.FDs = append(r.FDs, z.fd(i))
	}
	runHooks()
	return r, nil
}

// seqpacket reports what is wrong with the zygote's socket.
func seqpacket(fd int) error {
	if t, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE); err != nil || t != syscall.SOCK_SEQPACKET {
		return fmt.Errorf("descriptor %d is no SOCK_SEQPACKET socket (%v)", fd, err)
	}
	flags, _, e := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0)
	if e != 0 || flags&syscall.O_NONBLOCK != 0 {
		return fmt.Errorf("descriptor %d does not block (%v)", fd, e)
	}
	return nil
}

// collapse asks the kernel to put the Go heap into huge pages, where it is mapped and touched.
func collapse() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	const (
		huge  = 2 << 20
		piece = 64 * huge // each call waits for all processors once, so they are few
	)
	for line := range strings.Lines(string(maps)) {
		span, rest, _ := strings.Cut(line, " ")
		from, to, _ := strings.Cut(span, "-")
		lo, err1 := strconv.ParseUint(from, 16, 64)
		hi, err2 := strconv.ParseUint(to, 16, 64)
		fields := strings.Fields(rest)
		// Private memory of no file, which is the heap, whether the kernel has names for such or not.
		if err1 != nil || err2 != nil || len(fields) < 4 || fields[0] != "rw-p" || fields[3] != "0" || len(fields) > 4 && !strings.HasPrefix(strings.Join(fields[4:], " "), "[anon: Go: heap") {
			continue
		}
		hi &^= huge - 1
		for at := (lo + huge - 1) &^ (huge - 1); at < hi; at += piece {
			end := min(at+piece, hi)
			if collapseSpan(at, end) == nil {
				continue
			}
			for ; at < end; at += huge { // the call ends at the first page that cannot be had
				_ = collapseSpan(at, at+huge)
			}
			at = end - piece
		}
	}
}

// collapseSpan asks once more when the kernel asks for that.
func collapseSpan(from, to uint64) error {
	const madvCollapse = 25
	var e syscall.Errno
	for range 3 {
		if _, e = raw(syscall.SYS_MADVISE, uintptr(from), uintptr(to-from), madvCollapse, 0); e != syscall.EAGAIN {
			break
		}
	}
	if e != 0 {
		return e
	}
	return nil
}

// zygote is what the loop works with.
type zygote struct {
	socket  uintptr
	maxFDs  uint64
	data    []byte
	control []uint64
	iov     syscall.Iovec
	msg     syscall.Msghdr
	n       int    // length of the message
	nfds    uint64 // descriptors that came with it
	id      uint64
}

// freeze stops the threads and loops. It returns false before it, or true in a child.
//
//go:nosplit
func (f *forker) freeze(z *zygote, budget uint64) bool {
	if !f.block() {
		return false
	}
	if !f.roomy() || !via.stop(f, budget) {
		f.unblock()
		return false
	}
	if !via.check(f) || !via.scene(f) || !via.readPending(f) {
		via.release(f)
		f.unblock()
		return false
	}
	f.statusR, f.statusW = none, none
	for {
		if !via.receive(f, z) {
			continue
		}
		pid, ok := f.call(stepClone, syscall.SYS_CLONE, uintptr(syscall.SIGCHLD)|cloneParent, 0, 0, 0)
		if ok && pid == 0 {
			via.revive(f)
			closeFD(z.socket)
			f.openGate()
			f.unblock()
			return true
		}
		z.closeFDs()
		if ok {
			via.send(f, Started, uint32(pid))
		} else {
			via.send(f, Refused, 0)
		}
	}
}

// receive receives a request, and answers and drops one that is not allowed.
//
//go:nosplit
func (f *forker) receive(z *zygote) bool {
	z.msg.Controllen, z.msg.Flags = uint64(8*len(z.control)), 0
	z.nfds, z.id = 0, 0
	f.requestID = 0
	n, ok := f.call(stepReceive, syscall.SYS_RECVMSG, z.socket, addr(&z.msg), syscall.MSG_CMSG_CLOEXEC, 0)
	switch {
	case !ok && (f.failErrno == syscall.EINTR || f.failErrno == syscall.ENOMEM || f.failErrno == syscall.ENOBUFS):
		return false
	case !ok && f.failErrno != syscall.ECONNRESET:
		for {
			raw(syscall.SYS_EXIT_GROUP, FailedChild, 0, 0, 0)
		}
	case !ok || n == 0: // nobody asks any more
		for {
			raw(syscall.SYS_EXIT_GROUP, 0, 0, 0, 0)
		}
	}
	z.n = int(n)
	for at := uint64(0); at+16 <= z.msg.Controllen; { // struct cmsghdr: length, level, type; aligned to 8
		size := z.control[at/8]
		if z.control[at/8+1] == syscall.SOL_SOCKET|syscall.SCM_RIGHTS<<32 {
			z.nfds = (size - 16) / 4 // there is one of them, and nothing else
		}
		at += (size + 7) &^ 7
		if size < 16 {
			break
		}
	}
	const requestWord = requestMagic // and 0
	e := inject(stepRequest)
	switch {
	case e != 0:
	case z.n < HeaderSize || le64(z.data) != requestWord:
		e = syscall.EBADMSG
	default:
		z.id = le64(z.data[8:])
		f.requestID = z.id
		if z.n == len(z.data) || z.msg.Flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) != 0 || z.nfds > z.maxFDs {
			e = syscall.EMSGSIZE
		}
	}
	if e == 0 {
		return true
	}
	z.closeFDs()
	f.fail(stepRequest, e)
	via.send(f, Refused, 0)
	return false
}

// fd returns a descriptor of the request. They stand behind the head of the control message, 4 bytes each.
//
//go:nosplit
func (z *zygote) fd(i int) int { return int(int32(z.control[2+i/2] >> (32 * (i % 2)))) }

//go:nosplit
func (z *zygote) closeFDs() {
	for i := range int(z.nfds) {
		closeFD(uintptr(z.fd(i)))
	}
	z.nfds = 0
}

// send sends a reply. When nobody is there to read it, the process ends: what it was made for is not wanted any more.
//
//go:nosplit
func (f *forker) send(k Kind, pid uint32) {
	r := &f.reply
	r[0], r[1] = replyMagic, uint32(k)
	r[2], r[3] = uint32(f.requestID), uint32(f.requestID>>32)
	r[4], r[5], r[6], r[7] = pid, 0, 0, 0
	if k == Refused || k == Failed {
		r[5], r[6] = uint32(f.failErrno), uint32(f.failStep)
	}
	for {
		e := inject(stepReply)
		if e == 0 {
			_, _, e = via.syscall(syscall.SYS_SENDTO, f.socket, addr(r), ReplySize, syscall.MSG_NOSIGNAL, 0, 0)
		}
		switch e {
		case 0:
			return
		case syscall.EINTR, syscall.ENOMEM, syscall.ENOBUFS:
			continue
		}
		for {
			raw(syscall.SYS_EXIT_GROUP, FailedChild, 0, 0, 0)
		}
	}
}

// readPending reads which signals are pending for each stopped thread, and for the caller. All is stopped for good, so no
// more are sent than those, and one that a thread may have been about to send: that of preemption, to whomever. The others are sent by goroutines,
// of which there are none.
//
//go:nosplit
func (f *forker) readPending() bool {
	var ok, underway bool
	if f.mePend, ok = via.pendingOf(f, f.tid); !ok {
		return false
	}
	for i := range f.slots[:ground.n] {
		s := &f.slots[i]
		if s.state&kindMask != slotStopped {
			continue
		}
		if s.pend, ok = via.pendingOf(f, s.state>>32); !ok {
			return false
		}
		underway = underway || !rests(f.pid, s.uc)
	}
	if underway {
		const urg = 1 << (uint(syscall.SIGURG) - 1)
		f.mePend |= urg
		for i := range f.slots[:ground.n] {
			f.slots[i].pend |= urg
		}
	}
	return true
}

//go:nosplit
func (f *forker) pendingOf(tid uint64) (uint64, bool) {
	const status = "/status"
	at := len(pathTask) - 1
	for i := range at {
		f.path[i] = pathTask[i]
	}
	f.path[at] = '/'
	at++
	digits := 0
	for v := tid; v > 0; v /= 10 {
		digits++
	}
	for i := digits - 1; i >= 0; i-- {
		f.path[at+i] = '0' + byte(tid%10)
		tid /= 10
	}
	at += digits
	for i := range len(status) {
		f.path[at+i] = status[i]
	}
	f.path[at+len(status)] = 0
	n, ok := via.readAll(f, stepThreads, &f.path[0])
	if !ok {
		return 0, false
	}
	const line = "\nSigPnd"
	for i := 0; i+len(line) < n; i++ {
		k := 0
		for k < len(line) && f.buf[i+k] == line[k] {
			k++
		}
		if k == len(line) {
			return f.number(&i, n, 16), true
		}
	}
	return 0, f.fail(stepThreads, syscall.ENODATA)
}
