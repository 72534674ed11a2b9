package proctest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var pointCall = regexp.MustCompile(`fault\.Point\("([^"]+)"\)`)

// Points returns the names of the crash points that begin with the prefix, sorted: those in the sources that match the patterns, or in all of the
// package under test. A crash test that runs through them fails when a point is added that it cannot reach.
func Points(t testing.TB, prefix string, patterns ...string) []string {
	t.Helper()
	if len(patterns) == 0 {
		patterns = []string{"*.go"}
	}
	var names []string
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("sources %s: %v, %v", pattern, files, err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range pointCall.FindAllSubmatch(src, -1) {
				if strings.HasPrefix(string(m[1]), prefix) {
					names = append(names, string(m[1]))
				}
			}
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		t.Fatalf("the sources %s have no crash points %s*", patterns, prefix)
	}
	return names
}
