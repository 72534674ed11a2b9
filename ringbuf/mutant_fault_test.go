//go:build fault && linux

package ringbuf_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// A mutant is the engine with one thing wrong, which the crash tests have to find. Not here, since only the model shows them: slots
// mended before cells, and gen raised before the slots are mended, whose windows are as narrow as a look of another process; and a sleep
// without slices, since the death itself wakes the sleeper here.
type mutant struct {
	name string
	file string
	old  []string // each stands there once; each becomes
	new  []string
	run  string // the tests that must fail
}

var mutants = []mutant{
	{
		"no settling", "mpmc_put.go",
		[]string{"			err = q.settle(e, t)\n"}, []string{""},
		"TestCrashMPMC/get/stop.kill/mpmc.get.taken",
	},
	{
		"no settling in the common put", "mpmc_fast_unsafe.go",
		[]string{"e.slot() != i && e.owner() != 0 || "}, []string{""},
		"TestQueueSettles",
	},
	{
		"announced after it is published", "mpmc_put.go",
		[]string{"		cpu.StoreRelease64(w, uint64(makeWord(statePub, me.id, t))) // pairs with the loads of who settles and repairs\n", "			fault.Point(\"mpmc.put.published\")\n"},
		[]string{"", "			fault.Point(\"mpmc.put.published\")\n			cpu.StoreRelease64(w, uint64(makeWord(statePub, me.id, t)))\n"},
		"TestCrashMPMC/put/kill/mpmc.put.published",
	},
	{
		"published before it is written", "mpmc_put.go",
		[]string{"		copy(q.body(k), msg)\n	} else", "		cpu.Copy(mem, msg)\n", "		q.release(me, k)\n		return err\n	}\n	return nil\n}\n\n// PutBatch"},
		[]string{"	} else", "		defer cpu.Copy(mem, msg)\n", "		q.release(me, k)\n		return err\n	}\n	copy(q.body(k), msg)\n	return nil\n}\n\n// PutBatch"},
		"TestCrashMPMC/put/kill/mpmc.put.published",
	},
	{
		"no repair", "mpmc_repair.go",
		[]string{"func (q *MPMC) repair(d uint64) error {\n"}, []string{"func (q *MPMC) repair(d uint64) error {\n	if d > 0 {\n		return nil\n	}\n"},
		"TestCrashMPMC/(put|get)/kill/mpmc.(put.announced|get.taken)",
	},
	{
		"repair without proof of death", "../internal/owner/members.go",
		[]string{" || m.who.Alive(last) {"}, []string{" {"},
		"TestCrashMPMC/(put|get)/stop/mpmc.(put.announced|get.taken)",
	},
	{
		"a message on its way said to be there before it is written", "fast_unsafe.go",
		[]string{"		whole := n &^ 7\n", "		cpu.StoreRelease64(&x.word, expressWord(tail, n)) // commits too; pairs with the loads in getExpress and spscHeader.expressed\n"},
		[]string{"		cpu.StoreRelease64(&x.word, expressWord(tail, n))\n		whole := n &^ 7\n", ""},
		"TestEveryInstruction",
	},
	{
		"a message on its way forgotten by the next producer", "spsc.go",
		[]string{"	return tail + s.hdr.expressed(tail, mask+1-tail&mask)\n"}, []string{"	_ = mask\n	return tail\n"},
		"TestExpressTail",
	},
	{
		"a message on its way that the tail is never moved behind", "spsc.go",
		[]string{"	cpu.StoreRelease64(&s.hdr.tail, tail)\n"}, []string{"	_ = cpu.StoreRelease64\n"},
		"TestExpressTailTwice",
	},
	{
		"a message on its way that was taken and is taken for damage", "consumer.go",
		[]string{"lead-1 < expressLead && lead&7 == 0 {"}, []string{"lead-1 < expressLead && lead&7 == 1 {"},
		"TestExpressTail",
	},
	{
		"a message on its way behind a skip", "producer.go",
		[]string{" && p.pending == 0 {"}, []string{" {"},
		"TestExpressBehindSkip",
	},
	{
		"room taken back by a consumer", "producer.go",
		[]string{"	if head-p.head > p.tail-p.head {"}, []string{"	if false && head-p.head > p.tail-p.head {"},
		"TestHeadGoesBack",
	},
	{
		"a place guessed from another length", "fast_unsafe.go",
		[]string{"	if n != c.length0 {\n"}, []string{"	if n > c.length0 {\n"},
		"TestModelSPSC",
	},
	{
		"a message on its way not looked at twice", "fast_unsafe.go",
		[]string{"	if isLater(atomic"}, []string{"	if false && isLater(atomic"},
		"TestExpressOverwritten",
	},
}

// TestMutants runs the crash tests on each mutant, by an overlay over its sources. It takes a minute and more, so it is part of the long form.
func TestMutants(t *testing.T) {
	if !long {
		t.Skip("a part of the long form: set RINGBUF_LONG=1")
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("the go command is not here")
	}
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) {
			path, err := filepath.Abs(m.file)
			ok(t, err)
			b, err := os.ReadFile(path)
			ok(t, err)
			src := string(b)
			for i, old := range m.old {
				if strings.Count(src, old) != 1 {
					t.Fatalf("%q stands %d times in %s, want once", old, strings.Count(src, old), m.file)
				}
				src = strings.Replace(src, old, m.new[i], 1)
			}
			dir := t.TempDir()
			changed, overlay := filepath.Join(dir, filepath.Base(path)), filepath.Join(dir, "overlay.json")
			ok(t, os.WriteFile(changed, []byte(src), 0o600))
			j, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
			ok(t, err)
			ok(t, os.WriteFile(overlay, j, 0o600))
			cmd := exec.CommandContext(proctest.Context(t), tool, "test", "-tags", "fault", "-overlay", overlay, "-run", m.run, "-count", "1", "-timeout", "30s", ".")
			cmd.Env = append(os.Environ(), "RINGBUF_LONG=")
			out, err := cmd.CombinedOutput()
			switch {
			case err == nil:
				t.Fatalf("the crash tests pass on it:\n%s", out)
			case strings.Contains(string(out), "build failed"):
				t.Fatalf("it does not build:\n%s", out)
			case !strings.Contains(string(out), "--- FAIL: Test") && !strings.Contains(string(out), "test timed out"):
				t.Fatalf("the crash tests failed otherwise than by a test:\n%s", out)
			}
		})
	}
}
