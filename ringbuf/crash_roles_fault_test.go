//go:build fault && linux

package ringbuf_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// The victims of the crash tests of a queue: processes that play a role on it and keep a ledger, in memory of its own, of
// every message that they put and got, so that it is known to the message what they had done when they died.

// roleQueue is small in everything, so that the roles meet full and empty queues, taken slots and messages that want several units.
var roleQueue = ringbuf.MPMCOptions{Capacity: 3, Spares: 6, MessageSize: 32, Bytes: 16 << 10, Members: 8}

const (
	roleMessages = 30 // of each sender, at most
	senders      = 4

	// What stands in a ledger.
	lInFlight = 0                            // messages that the copying call under way may take
	lAcking   = 1                            // key of the message whose Ack is under way
	lHeld     = 2                            // messages in hand, at most
	lPut      = 3                            // of each key: 1 the put was called, 2 it returned nil
	lGot      = lPut + senders*roleMessages  // of each key: how often it was got for good
	lSeen     = lGot + senders*roleMessages  // of each key: how often it was received
	lSize     = lSeen + senders*roleMessages //
)

// A key is a message's place in the ledgers, from 1.
func keyOf(sender, seq int) int { return sender*roleMessages + seq + 1 }

// letter is the message of a key: some stand in their slots, some take one unit, some several.
func letter(key int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(key))
	return append(b, content(uint64(key), []int{0, 24, 100, 900, 8}[key%5])...)
}

func readLetter(msg []byte) (int, error) {
	if len(msg) < 8 {
		return 0, fmt.Errorf("a message of %d bytes", len(msg))
	}
	key := binary.LittleEndian.Uint64(msg)
	if key < 1 || key > senders*roleMessages || !bytes.Equal(msg, letter(int(key))) {
		return 0, fmt.Errorf("a message that nobody put: %x", msg[:8])
	}
	return int(key), nil
}

type roleArg struct {
	Seg    *shm.Segment
	Ledger ledger
	Fault  string
	Role   string
	Sender int
}

// An actor plays a role.
type actor struct {
	q *ringbuf.MPMC
	l ledger
}

func (a *actor) add(at, key int) {
	v, err := a.l.At(at + key - 1)
	if err != nil {
		panic(err)
	}
	note(a.l, at+key-1, v+1)
}

// got notes a message that was taken for good.
func (a *actor) got(msg []byte) error {
	key, err := readLetter(msg)
	if err == nil {
		a.add(lGot, key)
	}
	return err
}

var ctxNone = context.Background()

// put puts one letter by one of the ways there are.
func (a *actor) put(way, sender, seq int) error {
	key := keyOf(sender, seq)
	note(a.l, lPut+key-1, 1)
	err := func() error {
		switch way % 4 {
		case 1:
			msg := letter(key)
			r, err := a.q.Reserve(ctxNone, len(msg)+way%7)
			if err != nil {
				return err
			}
			copy(r.Bytes(), msg)
			return r.Commit(ctxNone, len(msg))
		case 2:
			r, err := a.q.Reserve(ctxNone, 10+way*37%500)
			if err != nil {
				return err
			}
			if err := r.Abort(); err != nil {
				return err
			}
		case 3:
			n, err := a.q.PutBatch(ctxNone, [][]byte{letter(key)})
			if err == nil && n != 1 {
				err = fmt.Errorf("put a batch of 1: %d", n)
			}
			return err
		}
		return a.q.Put(ctxNone, letter(key))
	}()
	if err == nil {
		note(a.l, lPut+key-1, 2)
	}
	return err
}

// take takes messages by one of the ways there are.
func (a *actor) take(way int) error {
	switch way % 4 {
	case 0:
		note(a.l, lInFlight, 2)
		msgs, err := a.q.GetBatch(ctxNone, 2)
		for _, msg := range msgs {
			err = errors.Join(err, a.got(msg))
		}
		note(a.l, lInFlight, 0)
		return err
	case 1, 2:
		d, err := a.q.Receive(ctxNone)
		if err != nil {
			return err
		}
		key, err := readLetter(d.Bytes())
		if err != nil {
			return err
		}
		a.add(lSeen, key)
		if way%8 == 2 && d.Deliveries() < 3 {
			return d.Nack()
		}
		note(a.l, lAcking, uint64(key))
		err = d.Ack()
		if err == nil {
			a.add(lGot, key)
		}
		note(a.l, lAcking, 0)
		return err
	}
	note(a.l, lInFlight, 1)
	msg, err := a.q.Get(ctxNone, nil)
	if err == nil {
		err = a.got(msg)
	}
	note(a.l, lInFlight, 0)
	return err
}

func (a *actor) takeAll() error {
	for way := 0; ; way++ {
		if err := a.take(way); errors.Is(err, ringbuf.ErrClosed) {
			note(a.l, lInFlight, 0)
			return nil
		} else if err != nil {
			return err
		}
	}
}

// roles is what victims do. The puts are of the sender that the victim is.
var roles = map[string]func(a *actor, sender int) error{
	"put": func(a *actor, sender int) error {
		for seq := range roleMessages {
			if err := a.put(seq/2, sender, seq); err != nil {
				return err
			}
		}
		return nil
	},
	"get": func(a *actor, _ int) error {
		for way := range 16 {
			if err := a.take(way); errors.Is(err, ringbuf.ErrClosed) {
				note(a.l, lInFlight, 0)
				return nil
			} else if err != nil {
				return err
			}
		}
		return nil
	},
	// Alone on the queue: every put and get in the common way, to its end.
	"alone": func(a *actor, sender int) error {
		for seq := range roleMessages {
			if err := a.put(seq/2, sender, seq); err != nil {
				return err
			}
			for way := seq / 2; seq%2 == 1; way += 3 {
				if n, err := a.q.Len(); err != nil {
					return err
				} else if n == 0 { // while it stood still others have taken it
					break
				}
				if err := a.take(way); err != nil {
					return err
				}
			}
		}
		if err := a.q.Close(); err != nil {
			return err
		}
		return a.takeAll()
	},
	// Mends what the dead have left, and takes what they had.
	"mend": func(a *actor, _ int) error {
		if _, err := a.q.Repair(); err != nil {
			return err
		}
		for way := 0; ; way++ {
			if n, err := a.q.Len(); err != nil || n == 0 {
				return err
			}
			if err := a.take(way); err != nil {
				return err
			}
		}
	},
	// Gives back what it receives, and reads the dead letters.
	"dead": func(a *actor, sender int) error {
		for seq := range 3 {
			if err := a.put(0, sender, seq); err != nil {
				return err
			}
		}
		for {
			d, err := a.q.TryReceive()
			if errors.Is(err, ringbuf.ErrEmpty) {
				break
			}
			if err == nil {
				err = d.Nack()
			}
			if err != nil {
				return err
			}
		}
		for {
			d, err := a.q.DeadLetter()
			if errors.Is(err, ringbuf.ErrEmpty) {
				return nil
			}
			if err != nil {
				return err
			}
			key, err := readLetter(d.Bytes())
			if err != nil {
				return err
			}
			note(a.l, lAcking, uint64(key))
			if err := d.Ack(); err != nil {
				return err
			}
			a.add(lGot, key)
			note(a.l, lAcking, 0)
		}
	},
}

var roleTarget = spawn.NewTarget("ringbuf-role", func(_ context.Context, arg roleArg) error {
	defer tellSeen(arg.Fault)
	if err := fault.Arm(arg.Fault); err != nil {
		return err
	}
	q, err := ringbuf.OpenMPMC(arg.Seg.Bytes(), manyIn(arg.Seg))
	if err != nil {
		return err
	}
	return roles[arg.Role](&actor{q, arg.Ledger}, arg.Sender)
})
