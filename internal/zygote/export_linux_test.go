package zygote

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/fb2d3dbd/multiproc/internal/child"
	"github.com/fb2d3dbd/multiproc/internal/fork"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// A Fake is a server whose zygote is the test.
type Fake struct {
	s    *server
	peer *os.File
}

// NewFake makes one that is ready for requests.
func NewFake(zygote *child.Process) (*Fake, error) {
	l, theirs, err := newLink()
	if err != nil {
		return nil, err
	}
	s := &server{
		proc: zygote, link: l, born: make(chan struct{}), up: make(chan struct{}), down: make(chan struct{}),
		sending: make(chan struct{}, 1), pending: map[uint64]*request{},
	}
	close(s.born)
	close(s.up)
	go s.listen()
	return &Fake{s, theirs}, nil
}

// Start asks the test for a process.
func (f *Fake) Start(ctx context.Context, c *child.Call) (*child.Process, error) {
	return f.s.start(ctx, c, nil)
}

// Receive returns the id of the next request.
func (f *Fake) Receive() (uint64, error) {
	b := make([]byte, 1024)
	n, err := f.peer.Read(b)
	if err != nil || n < fork.HeaderSize {
		return 0, fmt.Errorf("a request of %d bytes: %w", n, err)
	}
	return binary.LittleEndian.Uint64(b[8:]), nil
}

// Started tells that process pid was made for the request.
func (f *Fake) Started(id uint64, pid int) error {
	b := make([]byte, fork.ReplySize)
	copy(b, "fkRP")
	binary.LittleEndian.PutUint32(b[4:], uint32(fork.Started))
	binary.LittleEndian.PutUint64(b[8:], id)
	binary.LittleEndian.PutUint32(b[16:], uint32(pid))
	_, err := sys.SendMessage(int(f.peer.Fd()), [][]byte{b}, nil)
	return err
}

// End ends the zygote, and returns when the server has taken note of it.
func (f *Fake) End() {
	f.peer.Close()
	<-f.s.down
}

// Waiting returns the number of calls that wait, for an answer or to be sent.
func (f *Fake) Waiting() int {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	return len(f.s.pending)
}

// Full reports whether all of so many calls wait, and one of them for room in the socket.
func (f *Fake) Full(calls int) bool { return f.Waiting() == calls && len(f.s.sending) == 1 }

// IsLost reports whether err says that the zygote has died.
func IsLost(err error) bool { return errors.Is(err, errLost) }
