package conn_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// A stamped message is its sender, its number and its size, and bytes that follow from all three.
const stampSize = 24

func stamped(sender, seq uint64, size int) []byte {
	b := make([]byte, max(size, stampSize))
	binary.LittleEndian.PutUint64(b, sender)
	binary.LittleEndian.PutUint64(b[8:], seq)
	binary.LittleEndian.PutUint64(b[16:], uint64(len(b)))
	for i := stampSize; i < len(b); i++ {
		b[i] = byte(sender*31 + seq*7 + uint64(i)*3)
	}
	return b
}

// readStamp checks that a message is whole.
func readStamp(b []byte) (sender, seq uint64, err error) {
	if len(b) < stampSize || binary.LittleEndian.Uint64(b[16:]) != uint64(len(b)) {
		return 0, 0, fmt.Errorf("a message of %d bytes is torn: %.40x", len(b), b)
	}
	sender, seq = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	for i := stampSize; i < len(b); i++ {
		if b[i] != byte(sender*31+seq*7+uint64(i)*3) {
			return 0, 0, fmt.Errorf("message %d of %d is torn at byte %d", seq, sender, i)
		}
	}
	return sender, seq, nil
}

// sizeOf makes every fourth message one that goes as a file, over packets, or takes many calls, over a stream.
func sizeOf(seq uint64) int {
	switch seq % 4 {
	case 0:
		return 300 << 10
	case 1:
		return 60 << 10
	default:
		return 100
	}
}

// A sending is what a sender is told. In the ledger are the numbers of the last message that a send was called for, and of the last that has returned.
type sending struct {
	Conn   *conn.Conn
	Sender uint64
	N      uint64
	Ledger *shm.Segment
	Fault  string
}

func (s *sending) note(slot int, seq uint64) {
	binary.LittleEndian.PutUint64(s.Ledger.Bytes()[int(s.Sender)*16+slot*8:], seq)
}

func noted(ledger *shm.Segment, sender uint64) (called, returned uint64) {
	b := ledger.Bytes()[sender*16:]
	return binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
}

func (s *sending) run(ctx context.Context) error {
	for seq := uint64(1); seq <= s.N; seq++ {
		s.note(0, seq)
		if err := s.Conn.SendBytes(ctx, stamped(s.Sender, seq, sizeOf(seq))); err != nil {
			return err
		}
		s.note(1, seq)
	}
	return s.Conn.Close()
}

var sends = spawn.NewTarget("conn-sends", func(ctx context.Context, s sending) error {
	if err := arm(s.Fault); err != nil {
		return err
	}
	return s.run(ctx)
})

// A receiving is what a receiver is told: it tells of every message that it has got by sending its number to Told.
type receiving struct {
	Conn  *conn.Conn
	Told  *conn.Conn
	Fault string
}

var receives = spawn.NewTarget("conn-receives", func(ctx context.Context, r receiving) error {
	if err := arm(r.Fault); err != nil {
		return err
	}
	last := uint64(0)
	for {
		b, err := r.Conn.RecvBytes(ctx)
		if errors.Is(err, io.EOF) {
			return errors.Join(r.Conn.Close(), r.Told.Close())
		}
		if err != nil {
			return err
		}
		_, seq, err := readStamp(b)
		if err != nil {
			return err
		}
		if seq <= last {
			return fmt.Errorf("message %d came after %d", seq, last)
		}
		last = seq
		if err := r.Told.Send(ctx, seq); err != nil {
			return err
		}
	}
})

func startProcess[A any](t *testing.T, target *spawn.Target[A], arg A) *spawn.Process {
	t.Helper()
	p := must(target.Start(proctest.Context(t), arg, &spawn.Options{Stderr: os.Stderr}))(t)
	t.Cleanup(func() {
		_ = p.Kill() // it may have ended
		<-p.Done()
	})
	return p
}

// Senders in processes that share one end, two of which are killed again and again, and goroutines that share the other.
func TestSendersKilled(t *testing.T) {
	const senders, each = 4, 60
	for round := range 6 {
		a, b := packets(t)
		ledger := must(shm.New(&shm.Options{Size: 4096}))(t)
		var procs []*spawn.Process
		for i := range uint64(senders) {
			procs = append(procs, startProcess(t, sends, sending{b, i, each, ledger, ""}))
		}
		check(t, b.Close())
		var mu sync.Mutex
		got := map[uint64]map[uint64]bool{}
		total := 0
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				for {
					m, err := a.RecvBytes(proctest.Context(t))
					if err == io.EOF {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					sender, seq, err := readStamp(m)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if got[sender] == nil {
						got[sender] = map[uint64]bool{}
					}
					if got[sender][seq] {
						t.Errorf("message %d of %d came twice", seq, sender)
					}
					got[sender][seq] = true
					if total++; total == 10+round*15 {
						_ = procs[0].Kill() // it may have ended
						_ = procs[1].Kill()
					}
					mu.Unlock()
				}
			})
		}
		readers.Wait()
		for i := range uint64(senders) {
			<-procs[i].Done()
			called, returned := noted(ledger, i)
			n := uint64(len(got[i]))
			if n < returned || n > called || (i > 1 && n != each) {
				t.Errorf("round %d: sender %d: %d messages came, %d sends returned of %d", round, i, n, returned, called)
			}
			for seq := range n {
				if !got[i][seq+1] {
					t.Errorf("round %d: message %d of %d is missing", round, seq+1, i)
				}
			}
		}
		check(t, a.Close())
		check(t, ledger.Close())
	}
}

// Receivers in processes that share one end, one of which is killed: it takes with it what it had in hand, and that is one message at most.
func TestReceiversKilled(t *testing.T) {
	const receivers, n = 3, 200
	for round := range 4 {
		ctx := proctest.Context(t)
		a, b := packets(t)
		told, tell, err := conn.Pipe(false)
		check(t, err)
		var procs []*spawn.Process
		for range receivers {
			procs = append(procs, startProcess(t, receives, receiving{b, tell, ""}))
		}
		check(t, b.Close())
		check(t, tell.Close())
		sent := make(chan error, 1)
		go func() {
			for seq := uint64(1); seq <= n; seq++ {
				if err := a.SendBytes(ctx, stamped(0, seq, sizeOf(seq))); err != nil {
					sent <- err
					return
				}
				if seq == uint64(20+round*40) {
					_ = procs[0].Kill()
				}
			}
			sent <- a.Close()
		}()
		seen := map[uint64]bool{}
		for {
			seq, err := conn.Recv[uint64](ctx, told)
			if err == io.EOF {
				break
			}
			check(t, err)
			if seen[seq] {
				t.Errorf("message %d was received twice", seq)
			}
			seen[seq] = true
		}
		check(t, <-sent)
		if len(seen) < n-1 {
			t.Errorf("round %d: %d messages of %d are missing", round, n-len(seen), n)
		}
		for _, p := range procs[1:] {
			check(t, p.Wait(ctx))
		}
		check(t, told.Close())
	}
}
