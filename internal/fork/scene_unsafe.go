//go:build linux && amd64 && !race && !msan && !asan

package fork

import "syscall"

const maxTimers = 4096 // the highest ID of a POSIX timer, and one more, that a child makes again

var (
	pathTimers = [...]byte{'/', 'p', 'r', 'o', 'c', '/', 's', 'e', 'l', 'f', '/', 't', 'i', 'm', 'e', 'r', 's', 0}
	pathPoller = [32]byte{'/', 'p', 'r', 'o', 'c', '/', 's', 'e', 'l', 'f', '/', 'f', 'd', 'i', 'n', 'f', 'o', '/'} // and the number
)

// scene reads what the kernel knows of this process and does not give a child, while all is stopped.
//
//go:nosplit
func (f *forker) scene() bool {
	if !via.readPoller(f) || !via.readTimers(f) {
		return false
	}
	// ITIMER_PROF: a profiler that is on signals threads that the child does not have.
	if _, ok := f.call(stepProfile, syscall.SYS_GETITIMER, 2, addr(&f.scratch[0]), 0, 0); !ok {
		return false
	}
	if f.scratch[2] != 0 || f.scratch[3] != 0 {
		return f.fail(stepProfile, syscall.EBUSY)
	}
	return true
}

// readPoller reads the registrations of the poller: lines "tfd: 5 events: 8000201d data: c000112010 ...".
//
//go:nosplit
func (f *forker) readPoller() bool {
	n, ok := via.readAll(f, stepPoller, &pathPoller[0])
	if !ok {
		return false
	}
	f.nregs = 0
	wake := false
	for at := 0; at < n; {
		end := at
		for end < n && f.buf[end] != '\n' {
			end++
		}
		if end-at > 5 && f.buf[at] == 't' && f.buf[at+1] == 'f' && f.buf[at+2] == 'd' {
			if f.nregs == uint64(len(f.regs)) {
				f.grow = true
				return f.fail(stepPoller, syscall.ENOBUFS)
			}
			i := at
			fd := f.number(&i, end, 10)
			events := f.number(&i, end, 16)
			r := &f.regs[f.nregs]
			r.fd, r.events, r.data = uint32(fd), uint32(events), f.number(&i, end, 16)
			f.nregs++
			wake = wake || fd == uint64(f.wakefd)
		}
		at = end + 1
	}
	if !wake {
		return f.fail(stepPoller, syscall.ENOENT)
	}
	return true
}

// number reads the number behind the next colon of a line.
//
//go:nosplit
func (f *forker) number(i *int, end int, base uint64) (v uint64) {
	at := *i
	for at < end && f.buf[at] != ':' {
		at++
	}
	at++
	for at < end && (f.buf[at] == ' ' || f.buf[at] == '\t') {
		at++
	}
	for ; at < end; at++ {
		var d uint64
		switch c := f.buf[at]; {
		case c >= '0' && c <= '9':
			d = uint64(c - '0')
		case base == 16 && c >= 'a' && c <= 'f':
			d = uint64(c-'a') + 10
		default:
			*i = at
			return v
		}
		v = v*base + d
	}
	*i = at
	return v
}

// readTimers reads the IDs of the POSIX timers: lines "ID: 3".
//
//go:nosplit
func (f *forker) readTimers() bool {
	n, ok := via.readAll(f, stepTimers, &pathTimers[0])
	if !ok {
		return false
	}
	f.ntimers = 0
	for at := 0; at < n; {
		end := at
		for end < n && f.buf[end] != '\n' {
			end++
		}
		if end-at > 3 && f.buf[at] == 'I' && f.buf[at+1] == 'D' {
			i := at
			id := f.number(&i, end, 10)
			if id >= maxTimers || f.ntimers == maxTimers {
				return f.fail(stepTimers, syscall.ERANGE)
			}
			f.timers[f.ntimers] = uint32(id)
			f.ntimers++
		}
		at = end + 1
	}
	return true
}
