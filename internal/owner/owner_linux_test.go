package owner_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/layout"
	"github.com/fb2d3dbd/multiproc/internal/owner"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func TestNewTable(t *testing.T) {
	for _, n := range []int{-1, 0, owner.Max + 1} {
		if _, err := owner.NewTable(make([]byte, 1<<20), n, -1, 0); err == nil {
			t.Errorf("a table for %d participants was made", n)
		}
	}
	if _, err := owner.NewTable(make([]byte, owner.TableSize(8)-1), 8, -1, 0); err == nil {
		t.Error("a table was made in too few bytes")
	}
}

// Tokens are told apart for ever: by number, by epoch, and from 0.
func TestJoinLeave(t *testing.T) {
	const n = 4
	file := newFile(t, n)
	see := look(t, file, n)
	past := map[uint32]bool{0: true}
	for range 5 * n {
		a, b := join(t, file, n), join(t, file, n)
		for _, p := range []*part{a, b} {
			if past[p.tok] || p.tok>>owner.TokenBits != 0 {
				t.Fatalf("token %#x is 0, too wide, or was another's", p.tok)
			}
			past[p.tok] = true
			if !see.Alive(p.tok) {
				t.Fatalf("token %#x is dead before it has left", p.tok)
			}
			info, held := see.Info(p.tok)
			if !held || info.PID != os.Getpid() || info.Name != filepath.Base(os.Args[0])[:min(32, len(filepath.Base(os.Args[0])))] || time.Since(info.Joined).Abs() > time.Hour {
				t.Fatalf("Info(%#x) = %+v, %v", p.tok, info, held)
			}
		}
		if !a.Alive(b.tok) || !b.Alive(a.tok) {
			t.Fatal("two participants do not see each other")
		}
		if all := see.All(); len(all) != 2 {
			t.Fatalf("All lists %v", all)
		}
		a.leave(t)
		if see.Alive(a.tok) || b.Alive(a.tok) || !see.Alive(b.tok) {
			t.Fatal("after one of two has left, the wrong one is dead")
		}
		if _, held := see.Info(a.tok); held {
			t.Fatal("who has left has a record")
		}
		if all := see.All(); len(all) != 1 || all[0].Token != b.tok {
			t.Fatalf("All lists %v after one has left", all)
		}
		b.leave(t)
	}
	for tok := range past {
		if see.Alive(tok) {
			t.Errorf("token %#x of the past is alive", tok)
		}
	}
	for _, tok := range []uint32{n + 1, owner.Max, 1<<12 - 1, 1<<32 - 1, 1 << 31} {
		if see.Alive(tok) {
			t.Errorf("token %#x, which nobody can have, is alive", tok)
		}
		if _, held := see.Info(tok); held {
			t.Errorf("token %#x, which nobody can have, has a record", tok)
		}
	}
}

// Who makes a table is its first participant, and like any other from then on.
func TestJoinFirst(t *testing.T) {
	const n = 2
	file := newFile(t, n)
	a := look(t, file, n)
	tok, err := a.JoinFirst()
	ok(t, err)
	a.tok = tok
	if b := join(t, file, n); owner.Number(a.tok) != 1 || owner.Number(b.tok) != 2 || !b.Alive(a.tok) || !a.Alive(b.tok) {
		t.Errorf("tokens %#x and %#x", a.tok, b.tok)
	}
	if _, err := look(t, file, n).JoinFirst(); err == nil {
		t.Error("a second one was the first")
	}
	a.leave(t)
	if c := join(t, file, n); owner.Number(c.tok) != 1 || c.Alive(a.tok) {
		t.Errorf("token %#x in the place of %#x", c.tok, a.tok)
	}
}

// A process that is stopped is alive; one that is killed is dead, by proof, once it has gone.
func TestDeathOfProcess(t *testing.T) {
	const n = 4
	file := newFile(t, n)
	see := look(t, file, n)
	p := startMember(t, file, n)
	tok, joined := p.token()
	if !joined || !see.Alive(tok) {
		t.Fatalf("a process that has joined as %#x is dead", tok)
	}
	if info, held := see.Info(tok); !held || info.PID != p.cmd.Process.Pid {
		t.Errorf("Info = %+v, %v; its pid is %d", info, held, p.cmd.Process.Pid)
	}
	proctest.Stop(t, p.cmd.Process.Pid)
	for range 1000 {
		if !see.Alive(tok) {
			t.Fatal("a stopped process is dead")
		}
	}
	p.kill()
	// Not at once: somebody may be reading its files under /proc, and has its memory so long.
	proctest.Eventually(t, func() bool { return !see.Alive(tok) }, "a process that was killed and has been waited for is dead")
	if all := see.All(); len(all) != 1 || all[0].Token != tok {
		t.Errorf("the dead that nobody has buried is not listed: %v", all)
	}

	q := startMember(t, file, n)
	tok, _ = q.token()
	ok(t, q.stdin.Close())
	ok(t, q.cmd.Wait())
	if see.Alive(tok) {
		t.Error("a process that has left is alive")
	}
}

// When all places are taken, the next is refused, until one of them has died or left.
func TestTooMany(t *testing.T) {
	const n = 3
	file := newFile(t, n)
	parts := []*part{join(t, file, n), join(t, file, n), join(t, file, n)}
	late := look(t, file, n)
	for range 3 {
		if _, err := late.Join(); !errors.Is(err, layout.ErrTooMany) {
			t.Fatalf("the fourth of three got %v", err)
		}
	}
	dead := parts[1]
	dead.die() // its record stays
	tok, err := late.Join()
	ok(t, err)
	if tok == dead.tok || late.Alive(dead.tok) || !parts[0].Alive(tok) {
		t.Errorf("the successor of %#x has token %#x", dead.tok, tok)
	}
	parts[2].leave(t)
	join(t, file, n)
}

// A thousand and more take part at once, each with a description and a mapping of its own.
func TestThousands(t *testing.T) {
	const n, many = owner.Max, 1200
	file := newFile(t, n)
	see := look(t, file, n)
	parts := make([]*part, many)
	seen := map[uint32]bool{}
	for i := range parts {
		parts[i] = join(t, file, n)
		seen[parts[i].tok] = true
	}
	if len(seen) != many {
		t.Fatalf("%d participants have %d tokens", many, len(seen))
	}
	if all := see.All(); len(all) != many {
		t.Fatalf("All lists %d of %d", len(all), many)
	}
	for i, p := range parts {
		if i%2 == 0 {
			p.die()
		} else if i%3 == 0 {
			p.leave(t)
		}
	}
	for i, p := range parts {
		if want := i%2 != 0 && i%3 != 0; see.Alive(p.tok) != want {
			t.Fatalf("participant %d: Alive is %v", i, !want)
		}
	}
}

// epochOf is where a record's epoch stands.
func epochOf(mem []byte, i int) []byte { return mem[i*owner.RecordSize:][:4] }

// The epoch goes over its wrap, in the record and in the token, and the tokens before it stay dead.
func TestEpochWrap(t *testing.T) {
	const n = 1
	for _, start := range []uint32{1<<19 - 4, 1<<32 - 4, 1<<32 - 2} {
		file := newFile(t, n)
		see := look(t, file, n)
		binary.NativeEndian.PutUint32(epochOf(see.mem, 1), start)
		var past []uint32
		for i := range 6 {
			p := join(t, file, n)
			if p.tok == 0 || !see.Alive(p.tok) {
				t.Fatalf("from epoch %#x, participant %d: token %#x is dead", start, i, p.tok)
			}
			for _, tok := range past {
				if see.Alive(tok) {
					t.Fatalf("from epoch %#x: token %#x of the past is alive", start, tok)
				}
			}
			past = append(past, p.tok)
			if i%2 == 0 {
				p.leave(t)
			} else {
				p.die()
			}
		}
	}
}

// Whatever stands in the table, nothing panics, nobody is said to be dead who lives, and a free place is found.
func FuzzTable(f *testing.F) {
	f.Add([]byte{}, uint32(0))
	f.Add([]byte{0xFF}, uint32(1))
	f.Add([]byte{1, 0, 0, 0, 0xFE, 0xFF, 0xFF, 0xFF, 9}, uint32(1<<32-1))
	f.Fuzz(func(t *testing.T, garbage []byte, tok uint32) {
		const n = 5
		file := newFile(t, n)
		held := join(t, file, n)
		p := look(t, file, n)
		epoch := append([]byte(nil), epochOf(p.mem, int(held.tok&0xFFF))...)
		for i := 0; len(garbage) > 0 && i < len(p.mem); i += len(garbage) {
			copy(p.mem[i:], garbage)
		}
		p.Alive(tok)
		p.Info(tok)
		p.All()
		p.Watch(tok, func() {})()
		copy(epochOf(p.mem, int(held.tok&0xFFF)), epoch)
		if !p.Alive(held.tok) {
			t.Error("a living participant is dead")
		}
		mine, err := p.Join()
		ok(t, err)
		if mine == held.tok || mine == 0 || !held.Alive(mine) {
			t.Errorf("joined as %#x beside %#x", mine, held.tok)
		}
		p.CloseWatches()
	})
}
