// Package archtest holds the import table of docs/ARCHITECTURE.md against the code.
package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/fb2d3dbd/multiproc"
)

// table reads the rooms and what each may import from the document.
func table(t *testing.T) map[string]map[string]bool {
	doc, err := os.ReadFile(root + "/docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("`([^`]+)`")
	rooms := map[string]map[string]bool{}
	for line := range strings.Lines(string(doc)) {
		f := strings.Split(line, "|")
		if len(f) != 5 || !strings.Contains(f[1], "`") {
			continue
		}
		may := map[string]bool{}
		for _, m := range name.FindAllStringSubmatch(f[3], -1) {
			may[m[1]] = true
		}
		rooms[name.FindStringSubmatch(f[1])[1]] = may
	}
	if len(rooms) < 10 {
		t.Fatalf("the table has %d rooms only", len(rooms))
	}
	return rooms
}

func TestImports(t *testing.T) {
	rooms := table(t)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		room := filepath.ToSlash(filepath.Dir(rel))
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			if imp == "unsafe" && !strings.HasSuffix(path, "_unsafe.go") && !strings.HasSuffix(path, "_linux.go") {
				t.Errorf("%s imports unsafe: only *_unsafe.go and *_linux.go may", rel)
			}
			if strings.HasPrefix(imp, "golang.org/x/sys") && room != "internal/sys" {
				t.Errorf("%s imports %s: only internal/sys may", rel, imp)
			}
			may, core := rooms[room]
			if !core {
				continue
			}
			if in, ok := strings.CutPrefix(imp, module+"/"); ok {
				if !may[in] {
					t.Errorf("%s imports %s, which the table does not allow for %s", rel, in, room)
				}
			} else if strings.Contains(strings.Split(imp, "/")[0], ".") &&
				!(room == "internal/sys" && strings.HasPrefix(imp, "golang.org/x/sys")) &&
				!(room == "shm" && imp == "github.com/edsrzf/mmap-go") {
				t.Errorf("%s imports %s: the core has no other requirements than x/sys and mmap-go", rel, imp)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFileLength(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		b, err := os.ReadFile(path)
		if n := strings.Count(string(b), "\n"); n > 500 {
			t.Errorf("%s has %d lines: look for its second concept", path, n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
