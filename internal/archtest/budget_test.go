package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var budgetRow = regexp.MustCompile("(?m)^\\| `(\\S+)` \\| (\\d+) \\|")

// TestBudgets holds the packages for users to the number of names that docs/ARCHITECTURE.md grants them.
func TestBudgets(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, budgets, ok := strings.Cut(string(text), "\n## Budgets\n")
	if !ok {
		t.Fatal("docs/ARCHITECTURE.md has no budgets")
	}
	budgets, _, _ = strings.Cut(budgets, "\n## ")
	granted := map[string]int{}
	for _, row := range budgetRow.FindAllStringSubmatch(budgets, -1) {
		dir := row[1]
		if dir == "root" {
			dir = "."
		}
		granted[dir], _ = strconv.Atoi(row[2])
	}
	all := files(t)
	for dir, most := range granted {
		names := exported(t, all, dir)
		switch n := len(names); {
		case n == 0:
			t.Errorf("docs/ARCHITECTURE.md grants names to %s, which has none", dir)
		case n > most:
			t.Errorf("package %s has %d exported types and functions, and docs/ARCHITECTURE.md grants it %d: a user has to learn each of them", dir, n, most)
		}
	}
	for _, f := range all {
		top := !strings.Contains(f.room, "/") && f.room != "bench" && f.room != "docs"
		if _, ok := granted[f.room]; top && !ok {
			t.Errorf("docs/ARCHITECTURE.md grants no names to package %s", f.room)
			granted[f.room] = 0
		}
	}
}

// exported returns the exported types of a package, and its functions but those that return one of them: these stand with their type.
func exported(t *testing.T, all []file, dir string) map[string]bool {
	var decls []ast.Decl
	for _, f := range all {
		if f.room != dir || f.test {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.path, f.text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		decls = append(decls, parsed.Decls...)
	}
	names := map[string]bool{}
	for _, d := range decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
			for _, s := range g.Specs {
				if name := s.(*ast.TypeSpec).Name; name.IsExported() {
					names[name.Name] = true
				}
			}
		}
	}
	types := len(names)
	for _, d := range decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !f.Name.IsExported() || types > 0 && makes(f, names) {
			continue
		}
		names[f.Name.Name] = true
	}
	return names
}

// makes reports whether the function's first result is one of the types.
func makes(f *ast.FuncDecl, types map[string]bool) bool {
	if f.Type.Results == nil {
		return false
	}
	x := f.Type.Results.List[0].Type
	for {
		switch y := x.(type) {
		case *ast.StarExpr:
			x = y.X
		case *ast.ArrayType:
			x = y.Elt
		case *ast.IndexExpr:
			x = y.X
		case *ast.IndexListExpr:
			x = y.X
		case *ast.Ident:
			return types[y.Name]
		default:
			return false
		}
	}
}
