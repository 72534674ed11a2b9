package archtest

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/fb2d3dbd/multiproc"

// A file is one Go file of the module, whatever platform or tag it is for.
type file struct {
	path    string // from the module's root, with slashes
	room    string // its directory; "." is the root package
	test    bool
	imports []string // paths within the module start with "./", the root package is "./."
	lines   int
	text    []byte
}

// files parses the imports of all Go files of the module but those of testdata, which are programs of their own.
func files(t *testing.T) []file {
	t.Helper()
	var all []file
	walk(t, func(p string) {
		if strings.HasSuffix(p, ".go") {
			all = append(all, parse(t, p))
		}
	})
	if len(all) < 50 {
		t.Fatalf("only %d Go files found below %s", len(all), root(t))
	}
	return all
}

func parse(t *testing.T, p string) file {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(p)))
	if err != nil {
		t.Fatal(err)
	}
	f := file{path: p, room: path.Dir(p), test: strings.HasSuffix(p, "_test.go"), text: text, lines: bytes.Count(text, []byte("\n"))}
	syntax, err := parser.ParseFile(token.NewFileSet(), p, text, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range syntax.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if rest, ok := strings.CutPrefix(imp, module); ok && (rest == "" || rest[0] == '/') {
			imp = "./" + strings.TrimPrefix(rest, "/")
			if rest == "" {
				imp = "./."
			}
		}
		f.imports = append(f.imports, imp)
	}
	return f
}

// walk calls fn with every file of the module, as a path with slashes from its root.
func walk(t *testing.T, fn func(path string)) {
	t.Helper()
	base := root(t)
	err := filepath.WalkDir(base, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != base && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "ipcbench-report") {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(base, p)
		fn(filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// standard reports whether the import is of the standard library.
func standard(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(first, ".")
}

// outside returns the modules that an import of neither the module nor the standard library may belong to, by the name that
// the table uses.
func outside(imp string) (name string, ok bool) {
	for name, prefix := range map[string]string{
		"x/sys":         "golang.org/x/sys",
		"x/term":        "golang.org/x/term",
		"x/perf":        "golang.org/x/perf",
		"mmap-go":       "github.com/edsrzf/mmap-go",
		"gonum/plot":    "gonum.org/v1/plot",
		"hdrhistogram":  "github.com/HdrHistogram/hdrhistogram-go",
		"go-cmp":        "github.com/google/go-cmp",
		"rapid":         "pgregory.net/rapid",
		"porcupine":     "github.com/anishathalye/porcupine",
		"the C runtime": "C",
	} {
		if imp == prefix || strings.HasPrefix(imp, prefix+"/") {
			return name, true
		}
	}
	return "", false
}

func sorted(set map[string]bool) []string {
	var all []string
	for s := range set {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}
