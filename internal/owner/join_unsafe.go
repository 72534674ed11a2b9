package owner

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/fault"
	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/life"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// Join takes a record and its byte for this process and returns the token.
func (t *Table) Join() (uint32, error) {
	first := int((atomic.AddUint32(&(*cursor)(unsafe.Pointer(&t.mem[0])).next, 1) - 1) % uint32(t.n))
	for _, dead := range []bool{false, true} { // first those that nobody holds, then those whose holder may be dead
		for k := range t.n {
			i := 1 + (first+k)%t.n
			if (atomic.LoadUint32(&t.at(i).epoch)&1 == 1) != dead {
				continue
			}
			ok, err := sys.TryLockByte(t.fd, claimBase+int64(i))
			if err != nil {
				return 0, fmt.Errorf("join a segment: %w", err)
			}
			if !ok {
				continue
			}
			fault.Point("owner.join.claimed")
			tok, err := t.take(i)
			if e := sys.UnlockByte(t.fd, claimBase+int64(i)); err == nil {
				err = e
			}
			if err != nil {
				return 0, fmt.Errorf("join a segment: %w", err)
			}
			if tok != 0 {
				return tok, nil
			}
		}
	}
	return 0, fmt.Errorf("join a segment: %w: %d living processes have it open", layout.ErrTooMany, t.n)
}

// JoinFirst is [Table.Join] for who has made the table and has shown it to nobody yet: with nobody to race there is no claim, and two calls of the
// kernel less.
func (t *Table) JoinFirst() (uint32, error) {
	atomic.StoreUint32(&(*cursor)(unsafe.Pointer(&t.mem[0])).next, 1)
	tok, err := t.take(1)
	if err == nil && tok == 0 {
		err = errors.New("the table is not new: somebody holds its first record")
	}
	if err != nil {
		return 0, fmt.Errorf("join a segment: %w", err)
	}
	return tok, nil
}

// take buries the former holder of record i, if it is dead, and fills the record for this process, which has the claim on it; 0
// means that the holder lives. The claim comes first, and the byte only when the epoch is even: whoever were to stand still with the
// byte of a dead holder would make it look alive. A death at any step leaves both bytes free and the epoch even, or odd with a
// dead holder: the next who joins handles both alike.
func (t *Table) take(i int) (uint32, error) {
	r := t.at(i)
	e := atomic.LoadUint32(&r.epoch)
	if e&1 == 1 {
		if held, err := sys.ByteHeld(t.fd, lockBase+int64(i)); held || err != nil {
			return 0, err
		}
		e++
		atomic.StoreUint32(&r.epoch, e) // the former holder's tokens are dead from here on
		fault.Point("owner.join.buried")
	}
	// Held still means by one who leaves, and has marked that.
	if ok, err := sys.TryLockByte(t.fd, lockBase+int64(i)); !ok || err != nil {
		return 0, err
	}
	fault.Point("owner.join.locked")
	pid := os.Getpid()
	start := startOf(pid)
	atomic.StoreUint32(&r.pid, uint32(pid)) // pid and start pair with the loads in holder
	atomic.StoreUint64(&r.start, start)
	r.joined = time.Now().UnixNano()
	r.name = [32]byte{}
	copy(r.name[:], baseName(os.Args))
	fault.Point("owner.join.filled")
	e++
	t.epoch = e
	atomic.StoreUint32(&r.epoch, e) // pairs with the load in Alive
	return token(i, e), nil
}

// startOf returns the start time of this process, whose pid this is: 0 where /proc has it not. It is asked for once in a life.
func startOf(pid int) uint64 {
	now := life.Count()
	if s := started.Load(); s != nil && s.pid == pid && s.life == now {
		return s.start
	}
	start, _ := sys.StartTime(pid)
	started.Store(&incarnation{pid, now, start})
	return start
}

type incarnation struct {
	pid   int
	life  uint32
	start uint64
}

var started atomic.Pointer[incarnation]

func baseName(args []string) string {
	if len(args) == 0 {
		return ""
	}
	s := args[0]
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '/' {
			return s[i+1:]
		}
	}
	return s
}
