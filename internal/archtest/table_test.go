package archtest

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A room is one row of the table in docs/ARCHITECTURE.md.
type room struct {
	name    string // directory; "." is the root package
	floor   int    // testFloor for the rooms that only tests import
	imports []string
}

const testFloor = 100

// rooms reads the table. Its columns are: floor, room, what it is for, what it imports.
func rooms(t *testing.T) map[string]room {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]room{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || len(cells) != 4 {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		floor, err := strconv.Atoi(cells[0])
		switch {
		case cells[0] == "test":
			floor = testFloor
		case err != nil:
			continue // the head of the table
		}
		r := room{name: strings.Trim(cells[1], "`"), floor: floor}
		if r.name == "root" {
			r.name = "."
		}
		for name := range strings.SplitSeq(cells[3], ",") {
			if name = strings.TrimSpace(name); name != "" && name != "-" {
				r.imports = append(r.imports, name)
			}
		}
		slices.Sort(r.imports)
		if _, ok := all[r.name]; ok {
			t.Errorf("docs/ARCHITECTURE.md: room %s has two rows", r.name)
		}
		all[r.name] = r
	}
	if len(all) == 0 {
		t.Fatal("docs/ARCHITECTURE.md has no table of rooms")
	}
	return all
}

// nameOf returns what the table calls a room: its directory without "internal/".
func nameOf(dir string) string {
	if dir == "." {
		return "root"
	}
	return strings.TrimPrefix(dir, "internal/")
}

// TestTable compares the table with the imports of the files that are no tests.
func TestTable(t *testing.T) {
	table := rooms(t)
	seen := map[string]map[string]bool{}
	for _, f := range files(t) {
		if seen[f.room] == nil {
			seen[f.room] = map[string]bool{}
		}
		if f.test {
			continue
		}
		for _, imp := range f.imports {
			to, inside := strings.CutPrefix(imp, "./")
			if !inside {
				if name, ok := outside(imp); ok {
					seen[f.room][name] = true
				} else if !standard(imp) {
					t.Errorf("%s imports %s, which no room may", f.path, imp)
				}
				continue
			}
			seen[f.room][nameOf(to)] = true
			from, target := table[f.room], table[to]
			if from.floor <= target.floor && !sameHouse(f.room, to) {
				t.Errorf("%s, on floor %d, imports %s of floor %d: imports point down only", f.path, from.floor, to, target.floor)
			}
			if target.floor == testFloor {
				t.Errorf("%s, which is no test, imports %s", f.path, to)
			}
		}
	}
	for dir, imports := range seen {
		row, ok := table[dir]
		if !ok {
			t.Errorf("package %s has no row in docs/ARCHITECTURE.md", dir)
			continue
		}
		if got := sorted(imports); !slices.Equal(got, row.imports) {
			t.Errorf("package %s imports\n\t%s\nand docs/ARCHITECTURE.md says\n\t%s", dir, strings.Join(got, ", "), strings.Join(row.imports, ", "))
		}
	}
	for dir := range table {
		if seen[dir] == nil {
			t.Errorf("docs/ARCHITECTURE.md has a row for %s, and there is no such package", dir)
		}
	}
}

// sameHouse reports whether two packages stand in one top-level directory, as those of bench do.
func sameHouse(a, b string) bool {
	a, _, _ = strings.Cut(a, "/")
	b, _, _ = strings.Cut(b, "/")
	return a == b && a != "internal" && a != "."
}
