package stats

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/bench"
)

func TestAgreements(t *testing.T) {
	far := []bench.Regime{bench.Far}
	old := slices.Concat(
		samplesOf("x", "multiproc", near, 10, 10, 10, 10, 10, 10), samplesOf("x", "same", near, 20, 21, 22, 20, 21, 22),
		samplesOf("x", "other", near, 20, 21, 22, 20, 21, 22), samplesOf("x", "once", near, 20), samplesOf("x", "far", far, 20, 20),
		samplesOf("y", "goroutine", near, 1, 1), samplesOf("y", "pipe", near, 3, 3), samplesOf("gone", "multiproc", near, 1), samplesOf("gone", "pipe", near, 1))
	new := slices.Concat(
		samplesOf("x", "multiproc", near, 100, 100, 100, 100, 100, 100), samplesOf("x", "same", near, 215, 220, 225, 215, 220, 225),
		samplesOf("x", "other", near, 300, 300, 300, 300, 300, 300), samplesOf("x", "once", near, 20), samplesOf("x", "far", near, 20, 20),
		samplesOf("y", "goroutine", near, 1, 1), samplesOf("y", "pipe", near, 3, 3))
	got := map[string][2]bool{}
	for _, a := range Agreements(old, new) {
		got[a.Scenario+" "+a.Impl+" "+a.Peer] = [2]bool{a.Judged(), a.Agree()}
	}
	want := map[string][2]bool{
		"x same multiproc": {true, true}, "x other multiproc": {true, false}, "x once multiproc": {false, false}, "y pipe goroutine": {true, true},
	}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for k, w := range want {
		if got[k] != w {
			t.Errorf("%s: judged and agreeing %v, want %v", k, got[k], w)
		}
	}
	var b bytes.Buffer
	if err := WriteComparison(&b, Compare(old, new), TextStyle{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 of 3 ratios agree within their intervals; 1 rest on a single round\n", "other : multiproc", "2.10  2.00–2.20  3.00  3.00–3.00  6+6"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "same : multiproc") {
		t.Errorf("a ratio that agrees is listed:\n%s", b.String())
	}
}
