package spawn_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// tell prints what a child sees of its surroundings, a line for each word of what.
var tell = spawn.NewTarget("tell", func(_ context.Context, what []string) error {
	for _, w := range what {
		switch key, value, _ := strings.Cut(w, " "); key {
		case "stdin":
			b, err := io.ReadAll(os.Stdin)
			if err != nil {
				return err
			}
			fmt.Println(string(b))
		case "stderr":
			fmt.Fprintln(os.Stderr, value)
		case "env":
			v, ok := os.LookupEnv(value)
			fmt.Printf("%q %v\n", v, ok)
		case "dir":
			dir, err := os.Getwd()
			if err != nil {
				return err
			}
			fmt.Println(dir)
		case "name":
			fmt.Printf("%q %d %v\n", spawn.ProcessName(), spawn.ParentPID(), spawn.ParentPID() == os.Getppid())
		case "args":
			fmt.Printf("%q\n", os.Args)
		case "file":
			if err := os.WriteFile(value, []byte("from "+spawn.ProcessName()), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
})

// output runs tell and returns the lines that it prints.
func output(t *testing.T, o spawn.Options, what ...string) []string {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	o.Stdout = out
	if err := run(t, tell, what, &o).Wait(proctest.Context(t)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func TestStdio(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	if err := os.WriteFile(in, []byte("read by the child"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdin := must(os.Open(in))(t)
	defer stdin.Close()
	stderr := must(os.Create(filepath.Join(dir, "err")))(t)
	defer stderr.Close()
	lines := output(t, spawn.Options{Stdin: stdin, Stderr: stderr}, "stdin", "stderr oh dear")
	if !slices.Equal(lines, []string{"read by the child"}) {
		t.Errorf("standard output is %q", lines)
	}
	if b, err := os.ReadFile(stderr.Name()); string(b) != "oh dear\n" || err != nil {
		t.Errorf("standard error is %q, %v", b, err)
	}
	if _, err := stdin.Seek(0, io.SeekStart); err != nil {
		t.Errorf("Start has closed the file that it was given: %v", err)
	}
}

func TestEnv(t *testing.T) {
	t.Setenv("SPAWN_TEST_A", "parent")
	t.Setenv("SPAWN_TEST_B", "parent")
	lines := output(t, spawn.Options{Env: []string{"SPAWN_TEST_A=first", "SPAWN_TEST_C=child=x", "SPAWN_TEST_A=child"}},
		"env SPAWN_TEST_A", "env SPAWN_TEST_B", "env SPAWN_TEST_C", "env SPAWN_TEST_D", "env MULTIPROC_CHILD")
	want := []string{`"child" true`, `"parent" true`, `"child=x" true`, `"" false`, `"" false`}
	if !slices.Equal(lines, want) {
		t.Errorf("the child sees %q, want %q", lines, want)
	}
}

func TestDir(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if lines := output(t, spawn.Options{Dir: dir}, "dir"); lines[0] != dir {
		t.Errorf("the child runs in %q, want %q", lines[0], dir)
	}
	p, err := tell.Start(proctest.Context(t), nil, &spawn.Options{Dir: filepath.Join(dir, "none")})
	if p != nil || !os.IsNotExist(unwrap(err)) {
		t.Errorf("Start in a folder that does not exist returned %v, %v", p, err)
	}
}

// unwrap returns the last error of a chain, which os.IsNotExist wants.
func unwrap(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}

func TestNames(t *testing.T) {
	if name, pid := spawn.ProcessName(), spawn.ParentPID(); name != "" || pid != 0 {
		t.Errorf("a process that is no child is called %q, with parent %d", name, pid)
	}
	lines := output(t, spawn.Options{Name: "Bob the worker"}, "name", "args")
	if want := fmt.Sprintf("%q %d true", "Bob the worker", os.Getpid()); lines[0] != want {
		t.Errorf("the child says %s, want %s", lines[0], want)
	}
	if want := fmt.Sprintf("%q", os.Args); lines[1] != want {
		t.Errorf("the child's arguments are %s, want %s", lines[1], want)
	}
	a, b := run(t, tell, nil, nil), run(t, tell, nil, nil)
	if a.Name() == b.Name() || !strings.HasPrefix(a.Name(), "tell-") || !strings.HasPrefix(b.Name(), "tell-") {
		t.Errorf("the default names are %q and %q", a.Name(), b.Name())
	}
	if tell.Name() != "tell" {
		t.Errorf("the target is called %q", tell.Name())
	}
}

func TestExecutable(t *testing.T) {
	// A copy of this very program, under another name.
	copied := filepath.Join(t.TempDir(), "copy")
	b, err := os.ReadFile(must(os.Executable())(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, b, 0o700); err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(t.TempDir(), "mark")
	p := run(t, tell, []string{"file " + mark}, &spawn.Options{Executable: copied, Name: "the copy"})
	if err := p.Wait(proctest.Context(t)); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(mark); string(b) != "from the copy" || err != nil {
		t.Errorf("the copy wrote %q, %v", b, err)
	}

	p, err = tell.Start(proctest.Context(t), nil, &spawn.Options{Executable: copied + "-none"})
	if p != nil || !os.IsNotExist(unwrap(err)) {
		t.Errorf("Start of an executable that does not exist returned %v, %v", p, err)
	}
}
