//go:build linux && fault

package queue_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/torture"
)

// A mutant is the queue with one thing wrong that a death or a race must bring to light.
type mutant struct {
	name string
	file string // in the module
	old  string
	new  string
	red  func(r torture.Result) bool // how it shows
}

func lost(r torture.Result) bool       { return r.Lost > 0 }
func duplicated(r torture.Result) bool { return r.Duplicated > 0 }
func corrupt(r torture.Result) bool    { return r.Corrupt > 0 }
func hung(r torture.Result) bool       { return r.Hung > 0 }
func anything(r torture.Result) bool   { return r.Trouble() }

var mutants = []mutant{
	{
		"what the dead held is thrown away", "ringbuf/mpmc_repair.go",
		"next = makeWord(stateOrp, 0, old.pos())", "next = makeWord(stateOwn, d, 0)", lost,
	},
	{
		"the dead are not repaired", "internal/owner/members.go",
		"old == 0 || last == self || m.who.Alive(last)", "true || old == 0 || last == self || m.who.Alive(last)", anything,
	},
	{
		"repair without proof of death", "internal/owner/members.go",
		"old == 0 || last == self || m.who.Alive(last)", "old == 0 || last == self", anything,
	},
	{
		"no settling", "ringbuf/mpmc_put.go",
		"old.state() == statePub && old.pos() == p {", "false && old.state() == statePub && old.pos() == p {", anything,
	},
	{
		"released before it is read", "ringbuf/mpmc_fast_unsafe.go",
		"buf = append(buf, (*[maxInline]byte)(unsafe.Add(slot, slotHead))[:n]...)\n\tw := (*uint64)(unsafe.Add(slot, 8))",
		"w := (*uint64)(unsafe.Add(slot, 8))\n\tcpu.StoreRelease64(w, 0)\n\tcpu.Pause(3000)\n\tbuf = append(buf, (*[maxInline]byte)(unsafe.Add(slot, slotHead))[:n]...)", anything,
	},
	{
		"announced after it is published", "ringbuf/mpmc_fast_unsafe.go",
		"cpu.StoreRelease64(w, uint64(makeWord(statePub, id, t)))\n\tfault.Point(\"mpmc.fast.announced\")", "fault.Point(\"mpmc.fast.announced\")", anything,
	},
	{
		"published before it is written", "ringbuf/mpmc_put.go",
		"k, err := q.claim(me, len(msg))\n\tif err != nil {\n\t\treturn err\n\t}",
		"k, err := q.claim(me, len(msg))\n\tif err != nil {\n\t\treturn err\n\t}\n\tif len(msg) <= q.inline() {\n\t\tif err = q.publish(me, k); err != nil {\n\t\t\tq.release(me, k)\n\t\t} else {\n\t\t\tcopy(q.body(k), msg)\n\t\t}\n\t\treturn err\n\t}", corrupt,
	},
	{
		"the units of the dead are not freed", "ringbuf/mpmc_repair.go",
		"atomic.StoreUint32(u, 0)\n\t\t\t\tfault", "fault", corrupt,
	},
	{
		"an order that is not kept", "ringbuf/mpmc_put.go",
		"if err = q.put(me, msgs[n]); err == nil {", "if err = q.put(me, msgs[len(msgs)-1-n]); err == nil {", anything,
	},
	{
		"a get that waits for who is stopped in a put", "ringbuf/mpmc_get.go",
		"var w walk\n",
		"for k := range q.slots {\n\t\tfor slotWord(atomic.LoadUint64(q.wordOf(k))).state() == stateOwn {\n\t\t\t_, _ = q.bury(me.token)\n\t\t\tcpu.Pause(1000)\n\t\t}\n\t}\n" +
			"\tvar w walk\n", hung,
	},
	{
		"an acknowledgement that may come back", "ringbuf/mpmc_lease.go",
		"q.release(d.me, d.slot)\n\tq.wakeProducers(1)\n\treturn q.usable(d.me.token)\n}\n\n// Nack",
		"if d.slot%7 == 0 {\n\t\tatomic.StoreUint64(q.wordOf(d.slot), uint64(makeWord(stateOrp, 0, d.pos)))\n\t\tq.orphaned()\n\t\treturn nil\n\t}\n\tq.release(d.me, d.slot)\n\tq.wakeProducers(1)\n\treturn q.usable(d.me.token)\n}\n\n// Nack", duplicated,
	},
}

// TestMutants builds the command with a queue that has something wrong, and wants it to say so.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			res, log := runMutant(t, root, m)
			if !m.red(res) {
				t.Errorf("%s\n%s", res.JSON(), log)
			}
		})
	}
}

func runMutant(t *testing.T, root string, m mutant) (torture.Result, string) {
	t.Helper()
	path := filepath.Join(root, m.file)
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(src, []byte(m.old)); n != 1 {
		t.Fatalf("%s has %d places that read %q: the mutant has to follow the source", m.file, n, m.old)
	}
	dir := t.TempDir()
	wrong := filepath.Join(dir, "mutant.go")
	if err := os.WriteFile(wrong, bytes.Replace(src, []byte(m.old), []byte(m.new), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: wrong}})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "torture")
	build := exec.Command("go", "build", "-tags", "fault", "-overlay", list, "-o", exe, "./internal/cmd/torture")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the mutant: %v\n%s", err, out)
	}
	patience := "1m" // a machine that stood still for some seconds is no hung queue
	if m.red(torture.Result{Hung: 1}) {
		patience = "5s"
	}
	cmd := exec.Command(exe, "queue", "-kills", "5000", "-seconds", "90", "-patience", patience, "-seed", "1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var res torture.Result
	if e := json.Unmarshal(stdout.Bytes(), &res); e != nil {
		t.Fatalf("%v: %q\n%s", e, stdout.String(), stderr.String())
	}
	if (err != nil) != res.Trouble() {
		t.Errorf("the exit code says %v, and the result %s", err, res.JSON())
	}
	t.Logf("%s", res.JSON())
	return res, stderr.String()
}
