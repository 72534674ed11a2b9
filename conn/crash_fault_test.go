//go:build fault && linux

package conn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// A tally counts the messages of each sender, which must be whole and in order.
type tally map[uint64]uint64

func (n tally) add(t *testing.T, b []byte) {
	t.Helper()
	sender, seq, err := readStamp(b)
	check(t, err)
	if seq != n[sender]+1 {
		t.Fatalf("message %d of sender %d came after %d", seq, sender, n[sender])
	}
	n[sender] = seq
}

func wantKilled(t *testing.T, p *spawn.Process, where string) {
	t.Helper()
	exit, ok := errors.AsType[*spawn.ExitError](p.Wait(proctest.Context(t)))
	if !ok || exit.Code != -9 {
		t.Errorf("no process was killed at %s: %v", where, exit)
	}
}

func sendPoints(t *testing.T) []string {
	return []string{"conn.packet.blob", "conn.packet.sealed", "conn.packet.send", "conn.packet.sent"}
}

// TestCrashPoints says that every crash point is one of the tests below.
func TestCrashPoints(t *testing.T) {
	known := map[string]bool{"conn.packet.receive": true, "conn.packet.received": true, "conn.stream.send": true, "conn.stream.receive": true}
	for _, p := range sendPoints(t) {
		known[p] = true
	}
	for _, p := range proctest.Points(t, "conn.") {
		if !known[p] {
			t.Errorf("no test kills at %s", p)
		}
	}
}

// A sender is killed or stopped at each point, and two others that share its end go on. What comes is whole, in order, and as much as the ledger says.
func TestCrashSender(t *testing.T) {
	for _, point := range sendPoints(t) {
		for _, pass := range []int{1, 2, 5} {
			for _, what := range []string{"kill", "stop"} {
				t.Run(fmt.Sprintf("%s/%s/%d", what, point, pass), func(t *testing.T) {
					ctx := proctest.Context(t)
					a, b := packets(t)
					defer a.Close()
					ledger := must(shm.New(&shm.Options{Size: 4096}))(t)
					defer ledger.Close()
					const n = 24
					victim := startProcess(t, sends, sending{b, 0, n, ledger, fmt.Sprintf("%s:%s:%d", what, point, pass)})
					others := []*spawn.Process{startProcess(t, sends, sending{b, 1, n, ledger, ""}), startProcess(t, sends, sending{b, 2, n, ledger, ""})}
					check(t, b.Close())
					got := tally{}
					if what == "stop" {
						take := func() {
							for {
								m, err := a.TryRecvBytes()
								if err == conn.ErrEmpty {
									return
								}
								check(t, err)
								got.add(t, m)
							}
						}
						proctest.Eventually(t, func() bool {
							take() // who finds no room never comes to the point
							return got[1] == n && got[2] == n && proctest.Stopped(t, victim.PID())
						}, "a sender stops, and the others come to their end")
						take()
						if called, returned := noted(ledger, 0); got[0] < returned || got[0] > called || called == n+1 {
							t.Errorf("stopped: %d came, %d returned of %d", got[0], returned, called)
						}
						proctest.Continue(t, victim.PID())
					}
					for {
						m, err := a.RecvBytes(ctx)
						if err == io.EOF {
							break
						}
						check(t, err)
						got.add(t, m)
					}
					called, returned := noted(ledger, 0)
					if what == "stop" {
						check(t, victim.Wait(ctx))
						returned = n
					} else {
						wantKilled(t, victim, point)
					}
					if got[0] < returned || got[0] > called || got[1] != n || got[2] != n {
						t.Errorf("%v came, %d returned of %d", got, returned, called)
					}
					for _, p := range others {
						check(t, p.Wait(ctx))
					}
				})
			}
		}
	}
}

// A receiver is killed or stopped, and another that shares its end goes on. Only what the dead one had received is missing.
func TestCrashReceiver(t *testing.T) {
	for _, point := range []string{"conn.packet.receive", "conn.packet.received"} {
		for _, pass := range []int{1, 2, 5} {
			for _, what := range []string{"kill", "stop"} {
				t.Run(fmt.Sprintf("%s/%s/%d", what, point, pass), func(t *testing.T) {
					ctx := proctest.Context(t)
					a, b := packets(t)
					told, tell, err := conn.Pipe(false)
					check(t, err)
					defer told.Close()
					victim := startProcess(t, receives, receiving{b, tell, fmt.Sprintf("%s:%s:%d", what, point, pass)})
					gone := func() bool {
						_, exited := victim.ExitCode()
						return exited || proctest.Stopped(t, victim.PID())
					}
					n, seen := uint64(0), map[uint64]bool{}
					for end := false; !end; { // the victim alone, until it stands still
						n++
						check(t, a.SendBytes(ctx, stamped(0, n, 100)))
						proctest.Eventually(t, func() bool {
							if seq, err := conn.TryRecv[uint64](told); err == nil {
								seen[seq] = true
								return true
							}
							end = gone()
							return end
						}, "a receiver receives or is hit")
					}
					heir := startProcess(t, receives, receiving{b, tell, ""})
					check(t, b.Close())
					check(t, tell.Close())
					for range 10 {
						n++
						check(t, a.SendBytes(ctx, stamped(0, n, sizeOf(n))))
					}
					check(t, a.Close())
					check(t, heir.Wait(ctx))
					if what == "stop" {
						proctest.Continue(t, victim.PID())
						check(t, victim.Wait(ctx))
					} else {
						wantKilled(t, victim, point)
					}
					for {
						seq, err := conn.Recv[uint64](ctx, told)
						if err == io.EOF {
							break
						}
						check(t, err)
						if seen[seq] {
							t.Errorf("message %d twice", seq)
						}
						seen[seq] = true
					}
					missing := int(n) - len(seen)
					if most := map[bool]int{true: 1}[what == "kill" && point == "conn.packet.received"]; missing != most {
						t.Errorf("%d messages of %d are missing, want %d", missing, n, most)
					}
				})
			}
		}
	}
}

// The sender of a stream is killed or stopped before each of its calls. The receiver gets whole messages, and then the end or ErrBroken; while the sender stands still it
// waits as long as it likes, and the other direction goes on.
func TestCrashStreamSender(t *testing.T) {
	for pass := 1; pass <= 12; pass++ {
		for _, what := range []string{"kill", "stop"} {
			t.Run(fmt.Sprintf("%s/%d", what, pass), func(t *testing.T) {
				ctx := proctest.Context(t)
				a, b := streams(t)
				ledger := must(shm.New(&shm.Options{Size: 4096}))(t)
				defer ledger.Close()
				const n = 8
				victim := startProcess(t, sends, sending{b, 0, n, ledger, fmt.Sprintf("%s:conn.stream.send:%d", what, pass)})
				defer b.Close()
				got := tally{}
				var err error
				for {
					var m []byte
					short, cancel := context.WithCancel(ctx)
					if what == "stop" {
						go func() {
							proctest.Eventually(t, func() bool { return proctest.Stopped(t, victim.PID()) || short.Err() != nil }, "a sender stops")
							cancel()
						}()
					}
					m, err = a.RecvBytes(short)
					cancel()
					if errors.Is(err, context.Canceled) { // in the middle of a message or between two
						check(t, a.TrySendBytes([]byte("still open")))
						proctest.Continue(t, victim.PID())
						what = "went on"
						continue
					}
					if err != nil {
						break
					}
					got.add(t, m)
				}
				called, returned := noted(ledger, 0)
				if what == "kill" && pass > n && victim.Wait(ctx) == nil {
					what = "came through" // how many calls a message takes is the kernel's to say, but it is one at least
				}
				switch {
				case what == "kill":
					wantKilled(t, victim, "conn.stream.send")
					if !errors.Is(err, io.EOF) && !errors.Is(err, conn.ErrBroken) {
						t.Error(err)
					}
					if got[0] < returned || got[0] > called {
						t.Errorf("%d came, %d returned of %d", got[0], returned, called)
					}
				default:
					want(t, err, io.EOF)
					if got[0] != n {
						t.Errorf("%d came of %d", got[0], n)
					}
				}
				check(t, a.Close())
			})
		}
	}
}

// The receiver of a stream is killed: the sender hears of it.
func TestCrashStreamReceiver(t *testing.T) {
	for pass := 1; pass <= 3; pass++ {
		ctx := proctest.Context(t)
		a, b := streams(t)
		told, tell, err := conn.Pipe(false)
		check(t, err)
		victim := startProcess(t, receives, receiving{b, tell, fmt.Sprintf("kill:conn.stream.receive:%d", pass)})
		check(t, tell.Close())
		for seq := uint64(1); err == nil; seq++ {
			err = a.SendBytes(ctx, stamped(0, seq, sizeOf(seq)))
		}
		if !errors.Is(err, conn.ErrPeerClosed) && !errors.Is(err, io.EOF) {
			t.Errorf("send to the dead: %v", err)
		}
		wantKilled(t, victim, "conn.stream.receive")
		check(t, a.Close())
		check(t, told.Close())
	}
}

type sendingFiles struct {
	Conn  *conn.Conn
	File  *os.File
	Fault string
}

const filesEach = 300 // more than a packet carries by itself

var sendsFiles = spawn.NewTarget("conn-sends-files", func(ctx context.Context, s sendingFiles) error {
	if err := arm(s.Fault); err != nil {
		return err
	}
	m := manyFiles{More: pattern(100 << 10)}
	for range filesEach {
		m.Files = append(m.Files, s.File)
	}
	for range 5 {
		if err := s.Conn.Send(ctx, m); err != nil {
			return err
		}
	}
	return errors.Join(s.Conn.Close(), s.File.Close())
})

// A sender of files is killed at each point. What comes has all its files, and when they are closed none is left anywhere.
func TestCrashSenderOfFiles(t *testing.T) {
	for _, point := range sendPoints(t) {
		for _, pass := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/%d", point, pass), func(t *testing.T) {
				ctx := proctest.Context(t)
				a, b := packets(t)
				r, w, err := os.Pipe()
				check(t, err)
				victim := startProcess(t, sendsFiles, sendingFiles{b, w, fmt.Sprintf("kill:%s:%d", point, pass)})
				check(t, b.Close())
				check(t, w.Close())
				n := 0
				for ; ; n++ {
					m, err := conn.Recv[manyFiles](ctx, a)
					if err == io.EOF {
						break
					}
					check(t, err)
					if len(m.Files) != filesEach || len(m.More) != 100<<10 {
						t.Fatalf("%d files and %d bytes came", len(m.Files), len(m.More))
					}
					for _, f := range m.Files {
						check(t, f.Close())
					}
				}
				wantKilled(t, victim, point)
				if sent := map[bool]int{true: pass, false: pass - 1}[point == "conn.packet.sent"]; n != sent {
					t.Errorf("%d messages came, want %d", n, sent)
				}
				if rest := must(io.ReadAll(r))(t); len(rest) > 0 { // the end comes when nobody has the other end
					t.Errorf("read %d bytes", len(rest))
				}
				check(t, r.Close())
				check(t, a.Close())
			})
		}
	}
}
