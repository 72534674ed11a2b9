package bench

import "testing"

func TestMetric(t *testing.T) {
	s := Sample{Extra: map[string]string{P99: "1250.5", "digest": "11789f41a"}}
	if v, ok := s.Metric(P99); v != 1250.5 || !ok {
		t.Errorf("p99 = %v, %v", v, ok)
	}
	for _, name := range []string{P50, "digest"} {
		if v, ok := s.Metric(name); ok {
			t.Errorf("%s = %v, want none", name, v)
		}
	}
}

func TestCurve(t *testing.T) {
	for _, c := range []struct {
		name    string
		what    string
		workers int
		ok      bool
	}{
		{"curve/lock/64", "lock", 64, true}, {"curve/queue/64B/2", "queue/64B", 2, true},
		{"wordcount/4", "", 0, false}, {"curve/lock", "lock", 0, false}, {"curve/lock/0", "lock/0", 0, false}, {"lock/contended-2", "", 0, false},
	} {
		if what, workers, ok := Curve(c.name); ok != c.ok || workers != c.workers || ok && what != c.what {
			t.Errorf("Curve(%q) = %q, %d, %v", c.name, what, workers, ok)
		}
	}
}
