package bench

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func counted(text string) map[string]int {
	c := newWordCounts()
	c.scan([]byte(text))
	m := make(map[string]int)
	for word, i := range c.index {
		m[word] = c.counts[i]
	}
	return m
}

func TestScan(t *testing.T) {
	for text, want := range map[string]map[string]int{
		"":                    {},
		" \n":                 {},
		"a":                   {"a": 1},
		"a a b":               {"a": 2, "b": 1},
		"1a a1 0x1F _":        {"a1": 1, "_": 1},
		"x.y(z)":              {"x": 1, "y": 1, "z": 1},
		"é\xffé \x80":         {"é\xffé": 1, "\x80": 1},
		"@[`{/:":              {},
		"AZaz09_ 09":          {"AZaz09_": 1},
		"end at the last end": {"end": 2, "at": 1, "the": 1, "last": 1},
	} {
		if diff := cmp.Diff(want, counted(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestScanDoesNotAllocateForKnownWords(t *testing.T) {
	c := newWordCounts()
	text := []byte("func main() { fmt.Println(main) }")
	c.scan(text)
	if n := testing.AllocsPerRun(100, func() { c.scan(text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDigestDependsOnCountsOnly(t *testing.T) {
	a, b, other := newWordCounts(), newWordCounts(), newWordCounts()
	a.scan([]byte("x y z x"))
	b.scan([]byte("z x"))
	other.scan([]byte("x y"))
	if a.digest() == b.digest() {
		t.Error("different counts have the same digest")
	}
	b.merge(other)
	if a.digest() != b.digest() || b.identifiers() != 4 {
		t.Errorf("merged counts: %s and %s, %d identifiers", a.digest(), b.digest(), b.identifiers())
	}
}

func TestFileLargerThanTheBuffer(t *testing.T) {
	name := filepath.Join(t.TempDir(), "big.go")
	text := make([]byte, 300<<10)
	for i := range text {
		text[i] = "ab "[i%3]
	}
	if err := os.WriteFile(name, text, 0o644); err != nil {
		t.Fatal(err)
	}
	c := newWordCounts()
	for range 2 {
		if err := c.file(name); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := c.identifiers(), 2*len(text)/3; got != want {
		t.Errorf("%d identifiers, want %d", got, want)
	}
}

func TestWordcountBadFolders(t *testing.T) {
	empty := t.TempDir()
	file := filepath.Join(empty, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(empty, "none"), file, empty} {
		for _, s := range Scenarios(ScenarioOptions{Dir: dir}) {
			if s.Name != "wordcount/2" {
				continue
			}
			for _, impl := range s.Impls {
				if missing(impl) != "" {
					continue
				}
				_, err := impl.Run(t.Context(), 1)
				if err == nil {
					t.Errorf("%s counted %s", impl.Name, dir)
				}
				if dir == filepath.Join(empty, "none") && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s of a missing folder: %v", impl.Name, err)
				}
			}
		}
	}
}

func TestWordcountFileThatCannotBeRead(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone.go")
	if _, err := goroutineWordcount(t.Context(), []string{gone}, 2); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("goroutines: %v", err)
	}
	if multiprocMissing() == "" {
		if _, err := multiprocCount(t.Context(), []string{gone}, 2); err == nil || !strings.Contains(err.Error(), gone) {
			t.Errorf("processes: %v", err)
		}
	}
	if cpythonMissing() == "" {
		_, err := runCPython(t.Context(), 1, strings.NewReader(gone), "wordcount", 2, filesPerMessage)
		if err == nil {
			t.Error("CPython counted a file that is not there")
		}
	}
}

func TestMergeMessageRefusesNonsense(t *testing.T) {
	good := appendCount(appendCount(nil, "word", 3), "x", 300)
	c := newWordCounts()
	if err := c.mergeMessage(good); err != nil || c.identifiers() != 303 {
		t.Errorf("%d identifiers, %v", c.identifiers(), err)
	}
	for n := range len(good) {
		if n == len(appendCount(nil, "word", 3)) || n == 0 {
			continue
		}
		if err := newWordCounts().mergeMessage(good[:n]); err == nil {
			t.Errorf("the first %d bytes were taken", n)
		}
	}
}
