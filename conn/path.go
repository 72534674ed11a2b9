package conn

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// A socketPath is a socket in the file system that a listener has made. Listeners of this package that make or remove a socket hold the lock of its
// directory, so that of two that find a dead one's socket one gets the path, and the other finds the first one alive.
type socketPath struct {
	path string
	info os.FileInfo
}

// dirPatience is how long a listener waits for the lock of the directory: whoever holds it may be stopped.
const dirPatience = 5 * time.Second

// listenUnix listens at a path or an abstract name.
func listenUnix(network, address string) (net.Listener, *socketPath, error) {
	if strings.HasPrefix(address, "@") {
		l, err := net.Listen(network, address)
		return l, nil, err
	}
	if address == "" {
		address = filepath.Join(os.TempDir(), "multiproc-"+rand.Text()+".sock")
	}
	unlock, err := lockDir(filepath.Dir(address))
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	if err := removeDead(network, address); err != nil {
		return nil, nil, err
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // another may have the path by then
	info, err := os.Lstat(address)
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return l, &socketPath{address, info}, nil
}

// lockDir locks a directory, where the platform can.
func lockDir(dir string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), dirPatience)
	defer cancel()
	for nap := 100 * time.Microsecond; ; nap = min(2*nap, 10*time.Millisecond) {
		unlock, err := sys.LockDir(dir)
		if err != sys.EAGAIN {
			return unlock, err
		}
		select {
		case <-time.After(nap):
		case <-ctx.Done():
			return nil, fmt.Errorf("the lock of %s, which a listener holds when it makes its socket, is taken: %w", dir, os.ErrDeadlineExceeded)
		}
	}
}

// removeDead removes the socket at path if nobody listens at it.
func removeDead(network, path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return nil // bind will tell
	}
	c, err := net.DialTimeout(network, path, time.Second)
	if err == nil {
		c.Close()
		return nil
	}
	if errors.Is(err, sys.ECONNREFUSED) {
		return os.Remove(path)
	}
	return nil
}

// remove closes the listener and removes its socket, if the one at the path is it.
func (p *socketPath) remove(l net.Listener) error {
	if p == nil {
		return l.Close()
	}
	unlock, err := lockDir(filepath.Dir(p.path))
	if err != nil { // the directory may be gone: then so is the socket
		err = nil
		unlock = func() {}
	}
	defer unlock()
	if info, e := os.Lstat(p.path); e == nil && os.SameFile(info, p.info) {
		err = os.Remove(p.path)
	}
	return errors.Join(err, l.Close())
}
