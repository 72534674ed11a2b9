package proctest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var pointCall = regexp.MustCompile(`fault\.Point\("([^"]+)"\)`)

// Points returns the names of the crash points in the sources of the package under test that begin with the prefix, sorted.
// A crash test that runs through them fails when a point is added that it cannot reach.
func Points(t testing.TB, prefix string) []string {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		src, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pointCall.FindAllSubmatch(src, -1) {
			if strings.HasPrefix(string(m[1]), prefix) {
				names = append(names, string(m[1]))
			}
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		t.Fatalf("the package has no crash points %s*", prefix)
	}
	return names
}
