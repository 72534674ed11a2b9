package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/race"
)

func TestMain(m *testing.M) {
	multiproc.Init()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	// The peers that tests compile do not go into the user's cache.
	cache, err := os.MkdirTemp("", "bench-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(cache)
	if err := os.Setenv("XDG_CACHE_HOME", cache); err != nil {
		panic(err)
	}
	// A program built with the race detector sleeps for a second before it ends, and here hundreds of children end.
	if err := os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0")); err != nil {
		panic(err)
	}
	return m.Run()
}

// BenchmarkScenarios runs what the command ipcbench runs, for benchstat: go test -bench . | benchstat -col /impl -.
// The figure is without what is set up before, but b.N is chosen with it: a -benchtime well below a second leaves
// implementations that start slowly with few operations.
func BenchmarkScenarios(b *testing.B) {
	for _, s := range Scenarios(ScenarioOptions{}) {
		b.Run(s.Name, func(b *testing.B) {
			for _, impl := range s.Impls {
				b.Run("impl="+impl.Name, func(b *testing.B) {
					if why := missing(impl); why != "" {
						b.Skip(why)
					}
					r, err := impl.Run(b.Context(), b.N)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(r.NsPerOp(), "ns/op") // without what was set up before
				})
			}
		})
	}
}

func missing(i Impl) string {
	if i.Missing == nil {
		return ""
	}
	return i.Missing()
}

// smallTree makes a folder with a few .go files and returns it with what counting them gives.
func smallTree(t *testing.T) (dir string, want map[string]string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{
		"a.go":           "package a\n\nvar x_1, 2fast = \"näme\", 0x1F // x_1\n",
		"sub/b.go":       "package b; func F() { return x_1 }",
		"sub/not.txt":    "package ignored",
		"sub/deep/c.go":  strings.Repeat("word ", 5000),
		"sub/empty.go":   "",
		"sub/deep/d.go":  "9 99 _ __\xff\x80x",
		"sub/deep/e.goo": "ignored",
	} {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// package 2, a, var, x_1 3, näme, b, func, F, return, word 5000, _, __\xff\x80x
	return dir, map[string]string{"files": "5", "identifiers": "5014", "digest": "42bb48aef73f3824"}
}

// tells reports whether a run of an implementation tells the race detector anything, or there is none: of peers that are no Go programs, and of many processes that do
// the same, it learns nothing, and they take it long.
func tells(s Scenario, impl Impl) bool {
	_, workers, _ := Curve(s.Name)
	few := workers <= 4 && !strings.Contains(s.Name, "-64") && !strings.Contains(s.Name, "8x8")
	return !race.Enabled || few && (strings.HasPrefix(impl.Name, "multiproc") || impl.Name == "goroutine" || impl.Name == "forkserver")
}

func TestImplementationsAreRight(t *testing.T) {
	dir, want := smallTree(t)
	for _, s := range Scenarios(ScenarioOptions{Dir: dir}) {
		n := 200
		switch {
		case strings.Contains(s.Name, "wordcount"), strings.HasPrefix(s.Name, "index/build/"):
			n = 1
		case strings.HasPrefix(s.Name, "start/"), strings.HasPrefix(s.Name, "wait/"), s.Name == "lock/wait-death":
			n = 2
		}
		for _, impl := range s.Impls {
			if _, workers, _ := Curve(s.Name); impl.Name == "cpython" && workers != 0 && workers != 1 && workers != 4 {
				continue // the same with other numbers of processes, each of which takes a loaded machine a second to start
			}
			if impl.Name == "cfork" && strings.Contains(s.Name, "1GiB") {
				continue // the same with a heap that takes seconds to fill
			}
			if !tells(s, impl) {
				continue
			}
			t.Run(s.Name+"/"+impl.Name, func(t *testing.T) {
				if why := missing(impl); why != "" {
					t.Skip(why)
				}
				sizes := []int{1, n}
				if _, workers, _ := Curve(s.Name); workers > 4 {
					sizes = sizes[1:]
				} else if impl.Most == 1 {
					sizes = sizes[:1]
				}
				for _, n := range sizes {
					r, err := impl.Run(t.Context(), n)
					if err != nil {
						t.Fatal(err)
					}
					if r.Ops != n || r.Elapsed <= 0 {
						t.Errorf("%d operations in %v, want %d in more than 0", r.Ops, r.Elapsed, n)
					}
					if takesTurns(s.Name, impl.Name) != (r.Extra[Fairness] != "") {
						t.Errorf("fairness %q", r.Extra[Fairness])
					}
					if strings.Contains(s.Name, "wordcount") {
						for key, value := range want {
							if r.Extra[key] != value {
								t.Errorf("%s is %q, want %q", key, r.Extra[key], value)
							}
						}
					}
				}
			})
		}
	}
}

// takesTurns reports whether the samples of an implementation have a fairness.
func takesTurns(scenario, impl string) bool {
	if what, workers, ok := Curve(scenario); ok {
		return workers > 2 || workers == 2 && what != "queue" // of a queue those who get take turns
	}
	return strings.Contains(scenario, "contended-") || strings.HasPrefix(scenario, "lock/hold-") || scenario == "value/add-locked-2" ||
		scenario == "value/add-atomic-2" && impl == "cpython" // which adds under the lock there as well
}

// sameCode matches scenarios of which others, that it does not match, have the same code with another size, number of workers or time.
var sameCode = regexp.MustCompile(`^curve/.*/(2|8|16|32|64)$|^curve/mutex-hold|^queue/.*/(8B|1KiB)$|^queue/mpmc-2x2/64KiB$|8x8|-1GiB|^lock/hold-10|^wait/.*(-1|-10000)$|` +
	`^(wordcount|index/.*)/(1|4)$|^pool/task-10us$`)

// ofEachCode leaves out scenarios whose code is run by another one as well: what is proven there holds here.
func ofEachCode(all []Scenario) []Scenario {
	return slices.DeleteFunc(all, func(s Scenario) bool { return sameCode.MatchString(s.Name) })
}

func TestContextEndsEverySample(t *testing.T) {
	dir, _ := smallTree(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, s := range ofEachCode(Scenarios(ScenarioOptions{Dir: dir})) {
		for _, impl := range s.Impls {
			if !tells(s, impl) {
				continue
			}
			t.Run(s.Name+"/"+impl.Name, func(t *testing.T) {
				if why := missing(impl); why != "" {
					t.Skip(why)
				}
				if _, err := impl.Run(ended, 1000); !errors.Is(err, context.Canceled) {
					t.Errorf("with a context that has ended: %v", err)
				}
				if impl.Fixed > 0 {
					return
				}
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				if _, err := impl.Run(ctx, 1<<30); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("with a context that ends meanwhile: %v", err)
				}
			})
		}
	}
	// A billion operations were asked of each: none may take memory by their number.
	if kb := peakMemory(t); kb > 4<<20 {
		t.Errorf("%d KiB of memory were taken", kb)
	}
}

// peakMemory is the most memory that this process has had resident, in KiB, or 0 where the system does not tell.
func peakMemory(t *testing.T) (kb int) {
	t.Helper()
	status, _ := os.ReadFile("/proc/self/status")
	if _, rest, ok := strings.Cut(string(status), "\nVmHWM:"); ok {
		if _, err := fmt.Sscan(rest, &kb); err != nil {
			t.Error(err)
		}
	}
	return kb
}

var failingTarget = multiproc.NewTarget("bench.test-failing", func(ctx context.Context, m member[int]) error {
	if m.Me == 1 {
		return errors.New("this one fails")
	}
	<-ctx.Done() // the others never end by themselves
	return nil
})

func TestCrewEndsWithTheFirstFailure(t *testing.T) {
	if why := multiprocMissing(); why != "" {
		t.Skip(why)
	}
	_, _, err := runCrew(t.Context(), failingTarget, 1, 3, 0)
	var exit *multiproc.ExitError
	if !errors.As(err, &exit) || exit.Code != 1 || !strings.Contains(exit.Text, "this one fails") {
		t.Errorf("a crew of which one fails: %v", err)
	}
	if left := multiproc.ActiveChildren(); len(left) != 0 {
		t.Errorf("%d processes are left", len(left))
	}
}

func TestHelpersThatFail(t *testing.T) {
	for _, role := range []string{"sink", "sink 8 x", "dance 8 1"} {
		cmd, err := helperCommand(t.Context(), role)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := cmd.CombinedOutput(); err == nil || len(out) == 0 {
			t.Errorf("a helper with the role %q: %v, %q", role, err, out)
		}
	}
	l, err := newPipe(queueBytes(64), false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	h, err := startHelper(t.Context(), helperSink, l.childIn, nil, 64, 10)
	if err != nil {
		t.Fatal(err)
	}
	l.release()
	if _, err := l.out.Write(make([]byte, 200)); err != nil { // no frames
		t.Fatal(err)
	}
	if err := h.wait(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "wrong length") {
		t.Errorf("a helper that gets nonsense: %v", err)
	}
}

// TestNothingIsLeft runs every implementation twice: the second time it must leave as many descriptors and children
// behind as it has found.
func TestNothingIsLeft(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/proc tells")
	}
	dir, _ := smallTree(t)
	var before string
	for range 2 {
		before = belongings(t)
		for _, s := range ofEachCode(Scenarios(ScenarioOptions{Dir: dir})) {
			for _, impl := range s.Impls {
				if impl.Name != "cpython" && tells(s, impl) && missing(impl) == "" {
					if _, err := impl.Run(t.Context(), 1); err != nil {
						t.Errorf("%s of %s: %v", impl.Name, s.Name, err)
					}
				}
			}
		}
	}
	if after := belongings(t); after != before {
		t.Errorf("before: %s\nafter:  %s", before, after)
	}
}

// belongings lists what this process's descriptors refer to, by kind, and its children.
func belongings(t *testing.T) string {
	t.Helper()
	kinds := make(map[string]int)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil { // not the one that was read
			kind, _, _ := strings.Cut(target, ":[")
			kinds[kind]++
		}
	}
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if children, err := os.ReadFile(task); err == nil { // a thread may have ended
			kinds["children"] += len(strings.Fields(string(children)))
		}
	}
	return fmt.Sprint(kinds)
}

func TestPeersThatAreMissing(t *testing.T) {
	t.Setenv("PATH", "")
	t.Setenv("CC", "")
	for _, s := range Scenarios(ScenarioOptions{}) {
		for _, impl := range s.Impls {
			_, _, curve := Curve(s.Name)
			switch name := impl.Name; {
			case name == "cpython", name == "pthread", name == "cring", curve && name != "multiproc" && name != "goroutine":
				if why := missing(impl); why == "" {
					t.Errorf("%s of %s is there without a PATH", impl.Name, s.Name)
				}
				if _, err := impl.Run(t.Context(), 1); err == nil {
					t.Errorf("%s of %s runs without a PATH", impl.Name, s.Name)
				}
			case name == "goroutine", name == "pipe", name == "exec":
				if why := missing(impl); why != "" {
					t.Errorf("%s of %s is missing: %s", impl.Name, s.Name, why)
				}
			}
		}
	}
	if got := PeerVersions(); len(got) != 0 {
		t.Errorf("versions without a PATH: %v", got)
	}
}

func TestCompilerThatFails(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no C peers")
	}
	dir := t.TempDir()
	script := "#!/bin/sh\necho 'x.c:1: error: no such thing' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "cc"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	t.Setenv("CC", "")
	if _, err := cProgram("add"); err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("a compiler that fails: %v", err)
	}
}

func TestPythonThatLies(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("scripts are not executable there")
	}
	dir := t.TempDir()
	for name, script := range map[string]string{
		"python3.13": "#!/bin/sh\necho 'no such version' >&2\nexit 127\n",
		"python3":    "#!/bin/sh\necho pypy True 3.11.0\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if p, err := searchPython([]string{dir}); err == nil {
		t.Errorf("found %v", p)
	}
	good := filepath.Join(t.TempDir(), "shims")
	version := filepath.Join(filepath.Dir(good), "versions", "3.13.9", "bin")
	for _, d := range []string{good, version} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(version, "python3.13"), []byte("#!/bin/sh\necho cpython True 3.13.9\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := searchPython([]string{"relative", dir, good})
	if err != nil || p.version != "3.13.9" {
		t.Errorf("beside the shims: %v, %v", p, err)
	}
}

func TestParsePeer(t *testing.T) {
	r, err := parsePeer("12 345 digest=ab files=3\n")
	if err != nil || r.Ops != 12 || r.Elapsed != 345 || r.Extra["digest"] != "ab" || r.Extra["files"] != "3" {
		t.Errorf("got %+v, %v", r, err)
	}
	for _, bad := range []string{"", "12", "x 1", "1 x", "1 2 3"} {
		if r, err := parsePeer(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, r)
		}
	}
}

func TestPeerThatFails(t *testing.T) {
	path, err := cProgram("lock")
	if err != nil {
		t.Skip(err)
	}
	for _, args := range [][]string{{}, {"10", "5", "1000", "apart", "plain"}} {
		if _, err := runPeer(t.Context(), 5, nil, path, args...); err == nil {
			t.Errorf("lock %q succeeded", args)
		}
	}
	if _, err := runPeer(t.Context(), 6, nil, path, "10", "5", "1", "apart", "plain"); err == nil {
		t.Error("a peer that did other than was asked for passed")
	}
}

func TestScenarioNames(t *testing.T) {
	want := "queue/spsc/8B queue/spsc/64B queue/spsc/1KiB queue/spsc/64KiB queue/spsc-batch/64B queue/mpmc-1x1/64B queue/mpmc-2x2/64B queue/mpmc-1x1/1KiB queue/mpmc-2x2/1KiB queue/mpmc-1x1/64KiB queue/mpmc-2x2/64KiB " +
		"queue/mpmc-4x4/64B queue/mpmc-8x8/64B queue/full-1x1/64B queue/full-2x2/64B queue/mpmc-solo/64B queue/lease/64KiB queue/rtt/64B " +
		"pipe/rtt/64B pipe/rtt-parked/64B pipe/throughput/64B pipe/throughput/64KiB pipe/connect " +
		"lock/uncontended lock/contended-2 lock/contended-8 lock/rwlock-read-2 lock/semaphore lock/hold-100ns lock/hold-1us lock/hold-10us lock/hold-100us lock/rtt lock/wait-death value/add-locked-1 value/add-locked-2 value/add-atomic-2 memory/element memory/segment-1MiB " +
		"start/spawn wait/event-1 wait/event-100 wait/event-10000 wait/locks-100 wait/locks-10000 start/fork start/fork-1GiB start/forkserver start/forkserver-preloaded start/forkserver-1GiB start/forkserver-1GiB-parent pool/map-chunk1 pool/map-auto pool/apply pool/task-10us pool/task-1ms pool/wordcount/2 manager/dict-get manager/dict-set manager/clients-64 wordcount/1 wordcount/2 wordcount/4 " +
		"index/build/1 index/build/2 index/build/4 index/query/1 index/query/2 index/query/4"
	for _, what := range []string{"mutex", "mutex-hold1us", "rwmutex-read", "value-add", "queue"} {
		for _, workers := range []int{1, 2, 4, 8, 16, 32, 64} {
			want += fmt.Sprintf(" curve/%s/%d", what, workers)
		}
	}
	var got []string
	for _, s := range Scenarios(ScenarioOptions{}) {
		got = append(got, s.Name)
		if s.Doc == "" {
			t.Errorf("%s has no description", s.Name)
		}
		seen := make(map[string]bool)
		for _, impl := range s.Impls {
			if seen[impl.Name] {
				t.Errorf("%s has two implementations %s", s.Name, impl.Name)
			}
			seen[impl.Name] = true
		}
		for _, name := range []string{"multiproc", "goroutine"} {
			// A goroutine neither dies nor connects.
			if !seen[name] && !(name == "goroutine" && (s.Name == "lock/wait-death" || s.Name == "pipe/connect")) {
				t.Errorf("%s has no implementation %s", s.Name, name)
			}
		}
	}
	if got := strings.Join(got, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSelect(t *testing.T) {
	all := Scenarios(ScenarioOptions{})
	for _, test := range []struct {
		scenario, impl string
		scenarios      int
		impls          string // of the first
	}{
		{"", "", len(all), "multiproc goroutine pipe unixsocket cpython cring mq"},
		{"^queue/spsc/64B$", "pipe|cring", 1, "pipe cring"},
		{"", "^exec$", 1, "exec"},
		{"wordcount", "cpython", 3, "cpython"},
	} {
		got, err := Select(all, test.scenario, test.impl)
		if err != nil {
			t.Fatalf("%q %q: %v", test.scenario, test.impl, err)
		}
		var impls []string
		for _, impl := range got[0].Impls {
			impls = append(impls, impl.Name)
		}
		if len(got) != test.scenarios || strings.Join(impls, " ") != test.impls {
			t.Errorf("%q %q: %d scenarios, %v", test.scenario, test.impl, len(got), impls)
		}
	}
	if len(all[0].Impls) != 7 {
		t.Error("Select changed what it was given")
	}
	for _, bad := range [][2]string{{"no/such", ""}, {"", "nosuch"}, {"lock", "exec"}} {
		if _, err := Select(all, bad[0], bad[1]); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q %q: %v", bad[0], bad[1], err)
		}
	}
	for _, bad := range [][2]string{{"(", ""}, {"", "("}} {
		if _, err := Select(all, bad[0], bad[1]); err == nil || errors.Is(err, ErrUnknown) {
			t.Errorf("%q %q: %v", bad[0], bad[1], err)
		}
	}
}
