package spawn_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

var selfPID = os.Getpid()

// A generation counts its members in shared memory and starts the next one, in pairs.
type generation struct {
	Left  int
	Count *shm.Value[int64]
	Seen  *shm.Array[int64] // parents, by the child's number
}

var breed *spawn.Target[generation]

func init() {
	breed = spawn.NewTarget("breed", func(ctx context.Context, g generation) error { // it refers to itself
		n, err := shm.Add(g.Count, 1)
		if err != nil {
			return err
		}
		if err := g.Seen.Set(int(n-1), int64(spawn.ParentPID())); err != nil {
			return err
		}
		if g.Left == 0 {
			return nil
		}
		g.Left--
		var procs []*spawn.Process
		for range 2 {
			p, err := breed.Start(ctx, g, nil)
			if err != nil {
				return err
			}
			procs = append(procs, p)
		}
		for _, p := range procs {
			err = errors.Join(err, p.Wait(ctx))
		}
		return err
	})
}

func TestGenerations(t *testing.T) {
	seg := must(shm.Default())(t)
	g := generation{Left: 3, Count: must(shm.NewValue(seg, int64(0)))(t), Seen: must(shm.NewArray[int64](seg, 15))(t)}
	if err := run(t, breed, g, nil).Wait(proctest.Context(t)); err != nil {
		t.Fatal(err)
	}
	if n, err := g.Count.Load(); n != 15 || err != nil {
		t.Errorf("%d processes ran, %v; want 1+2+4+8", n, err)
	}
	children := map[int64]int{}
	for _, parent := range g.Seen.All() {
		children[parent]++
	}
	for parent, n := range children {
		if want := 2 - b2i(parent == int64(selfPID)); n != want {
			t.Errorf("process %d has %d children, want %d", parent, n, want)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestChildren(t *testing.T) {
	w := newWire(t)
	p := run(t, sleeper, struct{}{}, &spawn.Options{Stdout: w.w})
	if all := spawn.ActiveChildren(); len(all) != 1 || all[0] != p {
		t.Errorf("Children returned %v", all)
	}
	p.Kill()
	<-p.Done()
	if all := spawn.ActiveChildren(); len(all) != 0 {
		t.Errorf("Children returned %v after the end", all)
	}
}

// What the child has open of its parent's: standard files, the mailbox, the segments that were passed.
var descriptors = spawn.NewTarget("descriptors", func(_ context.Context, v *shm.Value[int64]) error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			fmt.Println(to)
		}
	}
	return nil
})

func TestInheritedDescriptors(t *testing.T) {
	_ = proctest.FDs(t) // skips where /proc is not
	secret := must(os.Open(os.Args[0]))(t)
	defer secret.Close()
	seg := must(shm.New(nil))(t)
	defer seg.Close()
	unrelated := must(shm.New(nil))(t)
	defer unrelated.Close()
	w := newWire(t)
	p := run(t, descriptors, must(shm.NewValue(seg, int64(0)))(t), &spawn.Options{Stdout: w.w})
	if err := p.Wait(proctest.Context(t)); err != nil {
		t.Fatal(err)
	}
	w.w.Close()
	segments := 0
	for w.lines.Scan() {
		switch to := w.lines.Text(); {
		case to == secret.Name():
			t.Errorf("the child has %s open", to)
		case to == "/memfd:multiproc (deleted)":
			segments++
		}
	}
	want := 1
	if shm.PeekDefault() != nil {
		want++
	}
	if segments != want {
		t.Errorf("the child has %d descriptors of segments, want %d", segments, want)
	}
}
