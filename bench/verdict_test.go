package bench

import (
	"slices"
	"strings"
	"testing"
)

func digestSample(run, scenario, impl, digest string) Sample {
	s := Sample{Run: run, Scenario: scenario, Impl: impl}
	if digest != "" {
		s.Extra = map[string]string{"digest": digest, "files": "7", P99: impl}
	}
	return s
}

func TestVerdicts(t *testing.T) {
	got := Verdicts([]Sample{
		digestSample("r1", "wordcount/1", "goroutine", "aa"),
		digestSample("r1", "wordcount/1", "cpython", "bb"),
		digestSample("r1", "wordcount/4", "multiproc", "aa"),
		digestSample("r1", "queue/spsc/8B", "multiproc", ""),
		digestSample("r2", "wordcount/1", "goroutine", "cc"), // another run may count another folder
		digestSample("r2", "wordcount/2", "goroutine", "cc"),
	})
	if len(got) != 2 {
		t.Fatalf("%d verdicts: %+v", len(got), got)
	}
	first, second := got[0], got[1]
	if first.Agree() || first.Job != "wordcount" || !slices.Equal(first.Digests[0].Impls, []string{"goroutine", "multiproc"}) {
		t.Errorf("first verdict %+v, want a disagreement, two for aa", first)
	}
	for _, want := range []string{"wordcount", "aa by goroutine, multiproc", "bb by cpython"} {
		if !strings.Contains(first.Error(), want) {
			t.Errorf("error %q lacks %q", first.Error(), want)
		}
	}
	if !second.Agree() || second.Run != "r2" || second.Extra["files"] != "7" {
		t.Errorf("second verdict %+v, want agreement", second)
	}
	if v, ok := first.Extra[P99]; ok || second.Extra[P99] != "goroutine" {
		t.Errorf("what samples do not have alike is in the verdict: %q", v)
	}
}
