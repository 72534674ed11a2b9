package ringbuf

import "testing"

// A search that others outrun is no sign of damage, however long it goes on; one that walks on and on while nobody moves is.
func TestWalkOutrun(t *testing.T) {
	p := newPositions(3)
	var hint uint64
	var w walk
	if !w.begin(&p, &hint) {
		t.Fatal("a walk that does not begin")
	}
	for step := range 1 << 20 {
		if step%100 == 0 { // somebody has put, and says so
			hint = p.next(hint)
		}
		if !w.on(p.next(w.pos)) {
			t.Fatalf("lost after %d steps, with others on the move", step)
		}
	}
	steps := 0
	for w.on(p.next(w.pos)) {
		if steps++; steps > 1<<20 {
			t.Fatal("a walk without end")
		}
	}
	hint = 3 // an index that there is not
	if w.begin(&p, &hint) {
		t.Error("a walk from nowhere")
	}
}
