package sys

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	msgNoSignal = unix.MSG_NOSIGNAL
	msgCloexec  = unix.MSG_CMSG_CLOEXEC
)

// Packets reports whether there are packet sockets.
const Packets = true

// SocketPair returns two connected Unix-domain sockets, packets or streams, that do not block.
func SocketPair(packets bool) (a, b int, err error) {
	typ := unix.SOCK_STREAM
	if packets {
		typ = unix.SOCK_SEQPACKET
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, -1, os.NewSyscallError("socketpair", err)
	}
	return fds[0], fds[1], nil
}

const blobSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL

// Blob makes an anonymous file with the parts as its content, which nobody can ever change.
func Blob(parts ...[]byte) (int, error) {
	fd, err := unix.MemfdCreate("multiproc-message", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	for _, p := range parts {
		for len(p) > 0 {
			n, err := unix.Write(fd, p)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				unix.Close(fd)
				return -1, os.NewSyscallError("write", err)
			}
			p = p[n:]
		}
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, blobSeals); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("fcntl", err)
	}
	return fd, nil
}

// BlobSize returns the size of the file behind fd if it is one that can never change any more and whose every byte takes memory
// already, so that its size is no empty promise; ok is false otherwise.
func BlobSize(fd int) (size int64, ok bool) {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	const want = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if err != nil || seals&want != want {
		return 0, false
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, false
	}
	return st.Size, st.Size >= 0 && st.Size <= st.Blocks*512
}

// ReadAt fills b from the file behind fd at off.
func ReadAt(fd int, b []byte, off int64) error {
	for len(b) > 0 {
		n, err := unix.Pread(fd, b, off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("pread", err)
		}
		if n == 0 {
			return os.NewSyscallError("pread", unix.EIO)
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}

// maxParts is the most parts of a message that are not empty.
const maxParts = 4

// header sets up the header of a message of these parts, without memory from the heap.
func header(h *unix.Msghdr, iov *[maxParts]unix.Iovec, parts [][]byte, oob []byte) {
	n := 0
	for _, p := range parts {
		if len(p) > 0 {
			iov[n].Base = &p[0]
			iov[n].SetLen(len(p))
			n++
		}
	}
	h.Iov = &iov[0]
	h.SetIovlen(n)
	if len(oob) > 0 {
		h.Control = &oob[0]
		h.SetControllen(len(oob))
	}
}

// SendMessage sends the parts, at most four, one after the other, in one message of a packet socket, together with up to MaxRights descriptors. It
// never blocks: it returns EAGAIN instead.
func SendMessage(fd int, parts [][]byte, rights []int) (int, error) {
	var oob []byte
	if len(rights) > 0 {
		oob = unix.UnixRights(rights...)
	}
	var h unix.Msghdr
	var iov [maxParts]unix.Iovec
	header(&h, &iov, parts, oob)
	for {
		n, _, errno := syscall.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&h)), unix.MSG_DONTWAIT|msgNoSignal)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// ReceiveMessage receives into the parts, at most four, one after the other; oob is room for descriptors, RightsRoom or nothing. It never
// blocks: it returns EAGAIN instead. It has received nothing at the end, when every message has been received.
//
// Of a packet socket that does not block the kernel looks first whether there is a message and then, without a lock around both, whether the peer is gone. A peer
// that sends and closes in between makes it tell the end before the message. Once the end is told no message can come to those that are there, so a
// second look tells the truth.
func ReceiveMessage(fd int, parts [][]byte, oob []byte) (r Received, err error) {
	if r, err = receiveMessage(fd, parts, oob); err == nil && r.N == 0 && len(r.Rights) == 0 {
		return receiveMessage(fd, parts, oob)
	}
	return r, err
}

func receiveMessage(fd int, parts [][]byte, oob []byte) (r Received, err error) {
	var h unix.Msghdr
	var iov [maxParts]unix.Iovec
	header(&h, &iov, parts, oob)
	for {
		n, _, errno := syscall.Syscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&h)), unix.MSG_DONTWAIT|msgCloexec)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return Received{}, errno
		}
		r.N = int(n)
		break
	}
	r.Cut, r.Lost = h.Flags&unix.MSG_TRUNC != 0, h.Flags&unix.MSG_CTRUNC != 0
	if h.Controllen > 0 {
		if err := r.rights(oob[:h.Controllen]); err != nil {
			return Received{}, err
		}
	}
	return r, nil
}
