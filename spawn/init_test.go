package spawn_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/spawn"
)

var quick = spawn.NewTarget("quick", func(context.Context, struct{}) error { return nil })

// forgetful is a program whose main starts a process and has forgotten Init. If the start were carried out, its child would
// be main again. It leaves a mark for every run.
var forgetful = proctest.NewProgram("forgetful", func() int {
	f, err := os.CreateTemp(os.Args[1], "run")
	if err != nil {
		return 2
	}
	f.Close()
	p, err := quick.Start(context.Background(), struct{}{}, nil)
	if p != nil {
		_ = p.Wait(context.Background())
	}
	fmt.Println(err, errors.Is(err, spawn.ErrNotInitialized))
	return 0
})

func TestStartBeforeInit(t *testing.T) {
	dir := t.TempDir()
	out, err := forgetful.Command(proctest.Context(t), dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	if s := string(out); !strings.HasSuffix(s, " true\n") || !strings.Contains(s, "Init") {
		t.Errorf("Start before Init returned %q", s)
	}
	if runs := must(os.ReadDir(dir))(t); len(runs) != 1 {
		t.Errorf("the program ran %d times", len(runs))
	}
}

// A program without Init that is started as a child has nothing to do with its orders, and starts no further ones.
func TestChildWithoutInit(t *testing.T) {
	dir := t.TempDir()
	cmd := forgetful.Command(proctest.Context(t), dir)
	cmd.Env = append(cmd.Env, "MULTIPROC_CHILD=spawn/2")
	out, err := cmd.Output()
	if err != nil || !strings.HasSuffix(string(out), " true\n") {
		t.Errorf("the program printed %q, and ended with %v", out, err)
	}
	if runs := must(os.ReadDir(dir))(t); len(runs) != 1 {
		t.Errorf("the program ran %d times", len(runs))
	}
}

// ordinary is a program that does as it should.
var ordinary = proctest.NewProgram("ordinary", func() int {
	spawn.Init()
	ctx := context.Background()
	p, err := quick.Start(ctx, struct{}{}, nil)
	if err == nil {
		err = p.Wait(ctx)
	}
	fmt.Println("done:", err)
	return 0
})

func TestProgram(t *testing.T) {
	out, err := ordinary.Command(proctest.Context(t)).Output()
	if err != nil || string(out) != "done: <nil>\n" {
		t.Errorf("the program printed %q, and ended with %v", out, err)
	}
}

// A child that was not started by Start, or by a Start of another version, says so.
func TestForeignChild(t *testing.T) {
	for _, mark := range []string{"spawn/2", "spawn/999"} {
		cmd := ordinary.Command(proctest.Context(t))
		cmd.Env = append(cmd.Env, "MULTIPROC_CHILD="+mark)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "MULTIPROC_CHILD") {
			t.Errorf("a child with the mark %q and no orders printed %q, and ended with %v", mark, out, err)
		}
	}
}

var lateTargets atomic.Int32

func TestLateTarget(t *testing.T) {
	name := fmt.Sprintf("late %d", lateTargets.Add(1)) // the test may run more than once
	late := spawn.NewTarget(name, func(context.Context, int) error { return nil })
	p, err := late.Start(proctest.Context(t), 1, nil)
	if p != nil || !errors.Is(err, spawn.ErrUnknownTarget) || !strings.Contains(err.Error(), name) {
		t.Errorf("Start of a target that was registered after Init returned %v, %v", p, err)
	}
}

func TestBadRegistration(t *testing.T) {
	for _, name := range []string{"", "quick"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a target named %q was registered", name)
				}
			}()
			spawn.NewTarget(name, func(context.Context, int) error { return nil })
		}()
	}
}

// fickle exists in the parent alone: the child's environment hides it.
var fickle = func() *spawn.Target[int] {
	if os.Getenv("SPAWN_TEST_HIDE") != "" {
		return nil
	}
	return spawn.NewTarget("fickle", func(context.Context, int) error { return nil })
}()

func TestUnknownTarget(t *testing.T) {
	if err := run(t, fickle, 1, nil).Wait(proctest.Context(t)); err != nil {
		t.Fatal(err)
	}
	exit := exitError(t, run(t, fickle, 1, &spawn.Options{Env: []string{"SPAWN_TEST_HIDE=1"}}))
	if exit.Code != 1 || !strings.Contains(exit.Text, `unknown target "fickle"`) {
		t.Errorf("exit code %d, text %q", exit.Code, exit.Text)
	}
}

// Programs that know nothing of the target, or nothing of targets at all.
func TestForeignExecutable(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		code int
		text string
	}{
		{"empty", 0, "without running the target"},
		{"failing", 3, "without running the target"},
		{"other", 1, `unknown target "quick"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			exe := filepath.Join(dir, c.name)
			cmd := exec.CommandContext(proctest.Context(t), "go", "build", "-o", exe, "./testdata/"+c.name)
			if errors.Is(cmd.Err, exec.ErrNotFound) {
				t.Skip(cmd.Err)
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			o := quiet(t)
			o.Executable = exe
			exit := exitError(t, run(t, quick, struct{}{}, o))
			if exit.Code != c.code || !strings.Contains(exit.Text, c.text) {
				t.Errorf("exit code %d, text %q", exit.Code, exit.Text)
			}
		})
	}
}
