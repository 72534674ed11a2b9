package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shardsOf divides texts, which are numbered from 0, among shards.
func shardsOf(texts []string, n int) []*indexShard {
	var shards []*indexShard
	for range n {
		shards = append(shards, newIndexShard())
	}
	for i, text := range texts {
		shards[i%n].scan(&indexFile{int32(i), "file"}, []byte(text))
	}
	for _, x := range shards {
		x.finish()
	}
	return shards
}

func TestIndexAnswers(t *testing.T) {
	texts := []string{"a b a\n\na c", "1a ab abc abd\nb", "b a\nb b", "", "näme _x\n9 _x"}
	for query, want := range map[string]indexAnswer{
		"c a":        {2, []indexHit{{File: 0, Line: 1, Count: 3}, {File: 2, Line: 1, Count: 1}}},
		"t b":        {3, []indexHit{{File: 2, Line: 1, Count: 3}, {File: 0, Line: 1, Count: 1}, {File: 1, Line: 2, Count: 1}}},
		"c a b":      {2, []indexHit{{File: 0, Line: 1, Count: 4}, {File: 2, Line: 1, Count: 4}}},
		"c b a c":    {1, []indexHit{{File: 0, Line: 1, Count: 5}}},
		"c a a":      {2, []indexHit{{File: 0, Line: 1, Count: 6}, {File: 2, Line: 1, Count: 2}}},
		"c c ab":     {},
		"c a no":     {},
		"p ab":       {3, []indexHit{{Word: "ab", Count: 1}, {Word: "abc", Count: 1}, {Word: "abd", Count: 1}}},
		"p a":        {7, []indexHit{{Word: "a", Count: 4}, {Word: "ab", Count: 1}, {Word: "abc", Count: 1}, {Word: "abd", Count: 1}}},
		"p _":        {2, []indexHit{{Word: "_x", Count: 2}}},
		"p nä":       {1, []indexHit{{Word: "näme", Count: 1}}},
		"p zz":       {},
		"t 1a":       {},
		"no-query":   {},
		"p":          {},
		"c _x _x":    {1, []indexHit{{File: 4, Line: 1, Count: 4}}},
		"t unknown":  {},
		"c unknown ": {},
	} {
		for n := 1; n <= 6; n++ {
			got := answerAll(shardsOf(texts, n), query)
			if got.Number != want.Number || !cmp.Equal(append([]indexHit{}, got.Hits...), append([]indexHit{}, want.Hits...)) {
				t.Errorf("%q of %d shards: %+v, want %+v", query, n, got, want)
			}
		}
	}
}

func TestIndexAnswersAreTheSameHoweverItIsDivided(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var texts []string
	for range 60 {
		var text strings.Builder
		for range r.IntN(200) {
			fmt.Fprintf(&text, "w%d%c", r.IntN(60), " \n"[r.IntN(2)])
		}
		texts = append(texts, text.String())
	}
	whole := shardsOf(texts, 1)
	for _, n := range []int{2, 3, 7} {
		parts := shardsOf(texts, n)
		var counts indexCounts
		for _, x := range parts {
			counts.add(x.counts())
		}
		if want := whole[0].counts(); counts != want {
			t.Errorf("%d shards hold %+v, one %+v", n, counts, want)
		}
		for i := range 60 {
			for _, query := range []string{fmt.Sprintf("c w%d w%d", i, 59-i), fmt.Sprintf("p w%d", i), fmt.Sprintf("t w%d", i)} {
				if diff := cmp.Diff(answerAll(whole, query), answerAll(parts, query)); diff != "" {
					t.Errorf("%q, one shard (-) and %d (+):\n%s", query, n, diff)
				}
			}
		}
	}
}

// indexTree makes a folder whose every fourth file has what is to be found.
func indexTree(t *testing.T) (dir string, want map[string]string) {
	t.Helper()
	dir = t.TempDir()
	identifiers, postings := 0, 0
	for i := range 400 {
		text := "not in the index\n"
		if i%indexStride == 0 {
			text = fmt.Sprintf("package p%d\n\nfunc f(x int) { x_%d = näme } // %d f\xff\x80", i%9, i, i)
			identifiers += 9 // package p func f x int x_ näme f\xff\x80
			postings += 9
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.go", i)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, map[string]string{"files": "100", "identifiers": strconv.Itoa(identifiers), "postings": strconv.Itoa(postings)}
}

func TestIndexIsTheSameByAll(t *testing.T) {
	dir, want := indexTree(t)
	digests := make(map[string]string)
	for _, s := range Scenarios(ScenarioOptions{Dir: dir}) {
		job, _, _ := Family(s.Name)
		ops := map[string]int{"index/build": 1, "index/query": 150}[job]
		if ops == 0 {
			continue
		}
		for _, impl := range s.Impls {
			t.Run(s.Name+"/"+impl.Name, func(t *testing.T) {
				if why := missing(impl); why != "" {
					t.Skip(why)
				}
				r, err := impl.Run(t.Context(), ops)
				if err != nil {
					t.Fatal(err)
				}
				if d := digests[job]; d == "" {
					digests[job] = r.Extra["digest"]
				} else if r.Extra["digest"] != d {
					t.Errorf("digest %q, of another %q", r.Extra["digest"], d)
				}
				for key, value := range want {
					if key != "files" && job == "index/query" {
						continue
					}
					if r.Extra[key] != value {
						t.Errorf("%s is %q, want %q", key, r.Extra[key], value)
					}
				}
				figures := []string{GCCycles, GCPauses, GCPauseTime, GCPauseMax, GCTime}
				if job == "index/query" {
					figures = append(figures, P50, P99, P999, MaxLatency)
				}
				if runtime.GOOS == "linux" {
					figures = append(figures, Resident, Proportional)
				}
				for _, name := range figures {
					if v, err := strconv.ParseInt(r.Extra[name], 10, 64); err != nil || v < 0 {
						t.Errorf("%s is %q", name, r.Extra[name])
					}
				}
			})
		}
	}
}

func TestIndexBadFolders(t *testing.T) {
	empty := t.TempDir()
	file, numbers := filepath.Join(empty, "file"), t.TempDir()
	for _, name := range []string{file, filepath.Join(numbers, "numbers.go")} {
		if err := os.WriteFile(name, []byte("1 2 3"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	none := filepath.Join(empty, "none")
	for _, dir := range []string{none, file, empty, numbers} {
		for _, s := range Scenarios(ScenarioOptions{Dir: dir}) {
			if s.Name != "index/query/2" && s.Name != "index/build/1" {
				continue
			}
			for _, impl := range s.Impls {
				_, err := impl.Run(t.Context(), 1)
				if err == nil || !strings.Contains(err.Error(), dir) || errors.Is(err, fs.ErrNotExist) != (dir == none) {
					t.Errorf("%s by %s of %s: %v", s.Name, impl.Name, dir, err)
				}
			}
		}
	}
}

func TestIndexFileThatCannotBeRead(t *testing.T) {
	in := indexInput{Files: []string{filepath.Join(t.TempDir(), "gone.go")}, Queries: []string{"t x"}}
	for name, body := range indexBodies {
		if name != "goroutine" && multiprocMissing() != "" || name == "forkserver" { // that one has nothing preloaded here
			continue
		}
		if _, err := body(t.Context(), in, 2); err == nil || !strings.Contains(err.Error(), in.Files[0]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if cpythonMissing() == "" {
		if _, err := runPython(t.Context(), "index.py", 1, strings.NewReader(in.Files[0]), "build", 2, filesPerMessage, indexBest); err == nil {
			t.Error("CPython read a file that is not there")
		}
	}
}

func TestClientsEndWithTheFirstFailure(t *testing.T) {
	wrong := errors.New("wrong")
	_, err := runClients(t.Context(), 3, make([]string, 100), func(ctx context.Context, client, q int) (indexAnswer, error) {
		if q == 20 {
			return indexAnswer{}, wrong
		}
		if q > 20 {
			<-ctx.Done()
			return indexAnswer{}, ctx.Err()
		}
		return indexAnswer{}, nil
	})
	if !errors.Is(err, wrong) {
		t.Errorf("got %v", err)
	}
}

var collected [][]byte

func TestCollectorReading(t *testing.T) {
	begin := readCollector()
	for i := range 3 {
		collected = append(collected, make([]byte, 1<<20))
		runtime.GC()
		got := readCollector().since(begin)
		if got.Cycles < uint64(i+1) || got.Pauses == 0 || got.Paused <= 0 || got.Longest <= 0 || got.Time < 0 {
			t.Errorf("after %d runs: %+v", i+1, got)
		}
	}
	collected = nil
	var sum collection
	sum.add(collection{1, 2, 3, 4, 5})
	sum.add(collection{10, 20, 30, 2, 50})
	if want := (collection{11, 22, 33, 4, 55}); sum != want {
		t.Errorf("sum %+v, want %+v", sum, want)
	}
}

func TestFamilyFootprint(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/proc tells")
	}
	f := familyFootprint()
	if f.Proportional <= 0 || f.Resident < f.Proportional {
		t.Errorf("got %+v", f)
	}
}
