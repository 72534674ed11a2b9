package sys

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A PollSet waits until any of many descriptors can be read, in the runtime's poller: it takes one descriptor and no thread. It does not keep the descriptors open; one that is
// closed is no longer waited for.
type PollSet struct {
	fd     int
	f      *os.File
	rc     syscall.RawConn
	keys   map[int32][]int // by descriptor
	always []int
	events []unix.EpollEvent
}

// NewPollSet makes a set without descriptors.
func NewPollSet() (*PollSet, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p := &PollSet{fd: fd, f: os.NewFile(uintptr(fd), "epoll"), keys: map[int32][]int{}}
	if p.rc, err = p.f.SyscallConn(); err != nil {
		p.f.Close()
		return nil, err
	}
	return p, nil
}

// Add puts a descriptor into the set under a key. One that cannot be waited for, as that of a file on a disk, is always ready.
func (p *PollSet) Add(fd, key int) error {
	if _, have := p.keys[int32(fd)]; !have {
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(fd)}
		switch err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &ev); err {
		case nil, unix.EEXIST:
		case unix.EPERM:
			p.always = append(p.always, key)
			return nil
		default:
			return fmt.Errorf("epoll: %w", err)
		}
	}
	p.keys[int32(fd)] = append(p.keys[int32(fd)], key)
	return nil
}

// Look calls fn with the keys of those that are ready, and reports whether there are any.
func (p *PollSet) Look(fn func(key int)) (any bool) {
	for _, k := range p.always {
		fn(k)
	}
	if len(p.keys) == 0 {
		return len(p.always) > 0
	}
	if p.events == nil {
		p.events = make([]unix.EpollEvent, len(p.keys))
	}
	n, err := unix.EpollWait(p.fd, p.events, 0)
	if err != nil {
		n = 0
	}
	for _, ev := range p.events[:n] {
		for _, k := range p.keys[ev.Fd] {
			fn(k)
		}
	}
	return n+len(p.always) > 0
}

// Wait returns nil when some descriptor may be ready, and an error after Close. It blocks in the poller. One goroutine may call it while another looks.
func (p *PollSet) Wait() error {
	var ev [1]unix.EpollEvent
	return p.rc.Read(func(fd uintptr) bool {
		n, err := unix.EpollWait(int(fd), ev[:], 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
}

// Close ends the Wait.
func (p *PollSet) Close() { p.f.Close() }
