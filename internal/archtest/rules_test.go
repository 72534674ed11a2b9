package archtest

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const maxLines = 500

// TestNever holds what must stay true whatever the table says.
func TestNever(t *testing.T) {
	never := map[string][]string{
		"ringbuf": {"./shm", "./spawn", "./."},             // rings stand on any memory
		"futex":   {"./shm", "./spawn", "./."},             // and so do locks
		"shm":     {"./spawn", "./."},                      //
		"spawn":   {"./.", "./ringbuf", "./futex"},         // starts processes, whatever they share
		".":       {"unsafe", "syscall", "./internal/sys"}, // no tricks under the roof
	}
	for _, f := range files(t) {
		for _, imp := range f.imports {
			if !f.test && slices.Contains(never[f.room], imp) {
				t.Errorf("%s imports %s", f.path, imp)
			}
		}
	}
	for dir := range never {
		if _, err := os.Stat(filepath.Join(root(t), dir)); err != nil {
			t.Error(err)
		}
	}
}

// forkLink is the one link to a name of another package: a fork makes the runtime's poller anew, and nothing else tells which descriptors
// are the poller's. The runtime itself publishes the name for use by other packages.
const forkLink = "//go:" + "linkname isPollServerDescriptor internal/poll.runtime_isPollServerDescriptor"

// TestUnsafe keeps unsafe in files whose names say so.
func TestUnsafe(t *testing.T) {
	for _, f := range files(t) {
		name := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.path), ".go"), "_test")
		if slices.Contains(f.imports, "unsafe") && !strings.HasSuffix(name, "_unsafe") && !strings.HasSuffix(name, "_linux") {
			t.Errorf("%s imports unsafe: only files named *_unsafe.go and *_linux.go do", f.path)
		}
		if slices.Contains(f.imports, "C") {
			t.Errorf("%s imports C: the module builds without cgo", f.path)
		}
		for line := range bytes.Lines(f.text) {
			if link := string(bytes.TrimSpace(line)); strings.HasPrefix(link, "//go:"+"linkname") && (f.room != "internal/fork" || link != forkLink) {
				t.Errorf("%s links to a name of another package: %s", f.path, link)
			}
		}
	}
}

// TestSys keeps golang.org/x/sys in one room, of tests too.
func TestSys(t *testing.T) {
	for _, f := range files(t) {
		for _, imp := range f.imports {
			if name, _ := outside(imp); name == "x/sys" && f.room != "internal/sys" {
				t.Errorf("%s imports %s: only internal/sys does", f.path, imp)
			}
		}
	}
}

// TestOutside holds which rooms may use which other modules.
func TestOutside(t *testing.T) {
	for _, f := range files(t) {
		house, _, _ := strings.Cut(f.room, "/")
		for _, imp := range f.imports {
			name, known := outside(imp)
			if !known {
				if !standard(imp) && !strings.HasPrefix(imp, "./") {
					t.Errorf("%s imports %s, which is not among the modules that this one stands on", f.path, imp)
				}
				continue
			}
			var may bool
			switch name {
			case "x/sys":
				may = f.room == "internal/sys"
			case "mmap-go":
				may = f.room == "shm"
			case "go-cmp", "rapid", "porcupine":
				may = f.test
			default:
				may = house == "bench" || house == "cmd"
			}
			if !may {
				t.Errorf("%s imports %s", f.path, imp)
			}
		}
	}
}

// TestTestRooms keeps the rooms for tests out of the product.
func TestTestRooms(t *testing.T) {
	for _, f := range files(t) {
		for _, imp := range f.imports {
			to := strings.TrimPrefix(imp, "./")
			if (to == "internal/proctest" || to == "internal/archtest") && !f.test && f.room != to {
				t.Errorf("%s imports %s and is no test", f.path, to)
			}
		}
	}
}

func TestFileLength(t *testing.T) {
	for _, f := range files(t) {
		if f.lines > maxLines {
			t.Errorf("%s has %d lines, at most %d are allowed: look for the second concept in it", f.path, f.lines, maxLines)
		}
	}
}

var (
	link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)
	code = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`") // f[T](x) is no link there
)

// TestLinks checks that the links of the documents to files of the tree lead somewhere.
func TestLinks(t *testing.T) {
	walk(t, func(p string) {
		if !strings.HasSuffix(p, ".md") {
			return
		}
		text, err := os.ReadFile(filepath.Join(root(t), p))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllSubmatch(code.ReplaceAll(text, nil), -1) {
			to := string(m[1])
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root(t), filepath.Dir(p), to)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", p, to)
			}
		}
	})
}
