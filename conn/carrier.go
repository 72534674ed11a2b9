package conn

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// maxDirect is the most descriptors that go with a message themselves, beside its blob. More go into a carrier: a pair of packet sockets
// of which one end has sent them and is closed, and the other, with all of them on their way in it, is the one descriptor that goes with the message. So
// the message stays one packet.
const maxDirect = sys.MaxRights - 1

// maxHandles bounds the descriptors of a message.
const maxHandles = 1 << 16

var errTooManyFiles = syscall.EMFILE

// fillCarrier returns a carrier of the descriptors.
func fillCarrier(rights []int) (int, error) {
	if len(rights) > maxHandles {
		return -1, fmt.Errorf("conn: %d descriptors in one message; at most %d go", len(rights), maxHandles)
	}
	in, out, err := sys.SocketPair(true)
	if err != nil {
		return -1, fmt.Errorf("conn: a message with %d descriptors: %w", len(rights), err)
	}
	defer sys.CloseRights([]int{in})
	for rest := rights; len(rest) > 0; {
		n := min(len(rest), sys.MaxRights)
		if _, err := sys.SendMessage(in, [][]byte{{1}}, rest[:n]); err != nil {
			sys.CloseRights([]int{out})
			return -1, fmt.Errorf("conn: a message with %d descriptors: %w", len(rights), err)
		}
		rest = rest[n:]
	}
	return out, nil
}

// openCarrier replaces the carrier in r by what it carries, and checks that r has as many descriptors as were announced. On an error those that
// are still in r are the caller's to close.
func openCarrier(r *sys.Received, carrier bool, count int) error {
	if carrier {
		if len(r.Rights) != 1 || count > maxHandles {
			return fmt.Errorf("%w: %d carriers of %d descriptors", ErrProtocol, len(r.Rights), count)
		}
		socket := r.Rights[0]
		r.Rights = nil
		defer sys.CloseRights([]int{socket})
		if kind, domain, err := sys.KindOf(socket); err != nil || kind != sys.PacketSocket || !domain {
			return fmt.Errorf("%w: a carrier that is no packet socket", ErrProtocol)
		}
		if err := emptyCarrier(r, socket, count); err != nil {
			return err
		}
	}
	if len(r.Rights) != count {
		return fmt.Errorf("%w: %d descriptors came of %d", ErrProtocol, len(r.Rights), count)
	}
	return nil
}

func emptyCarrier(r *sys.Received, socket, count int) error {
	ch := &rawChannel{fd: socket, socket: true}
	for {
		var b [1]byte
		got, err := ch.read([][]byte{b[:]}, true)
		r.Rights = append(r.Rights, got.Rights...)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil: // errWait too: its other end is open, so nobody filled it as it is done here
			return fmt.Errorf("%w: a carrier that is not at its end: %w", ErrProtocol, err)
		case got.Lost:
			return fmt.Errorf("conn: a message is lost, for this process has no room for its descriptors: %w", errTooManyFiles)
		case len(r.Rights) > count:
			return fmt.Errorf("%w: a carrier with more descriptors than the %d announced", ErrProtocol, count)
		}
	}
}
