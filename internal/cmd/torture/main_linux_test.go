package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/internal/torture"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// TestCommandLine has lines that are not understood, and what of a run becomes the exit code.
func TestCommandLine(t *testing.T) {
	var last torture.Options
	result := torture.Result{Suite: "fake"}
	suites["fake"] = func(_ context.Context, o torture.Options) torture.Result { last = o; return result }
	defer delete(suites, "fake")
	rebuild := func() error { return nil }
	for _, c := range []struct {
		args []string
		bad  torture.Result
		code int
		says string // on the standard error
	}{
		{nil, torture.Result{}, 2, "usage: torture fake|fork|"},
		{[]string{"fork", "-forks", "0"}, torture.Result{}, 2, "from 1"},
		{[]string{"fork", "-case", "none"}, torture.Result{}, 2, "among those named"},
		{[]string{"nothing"}, torture.Result{}, 2, "usage"},
		{[]string{"fake", "-kills", "0"}, torture.Result{}, 2, "from 1"},
		{[]string{"fake", "-kills", "x"}, torture.Result{}, 2, "invalid"},
		{[]string{"fake", "more"}, torture.Result{}, 2, "nothing follows"},
		{[]string{"fake", "-h"}, torture.Result{}, 0, "-kills"},
		{[]string{"fake", "-kills", "7", "-victims", "3", "-seed", "9", "-seconds", "1.5"}, torture.Result{}, 0, ""},
		{[]string{"fake"}, torture.Result{Lost: 1}, 1, ""},
		{[]string{"fake"}, torture.Result{Hung: 1}, 1, ""},
		{[]string{"fake"}, torture.Result{Failed: 1}, 1, ""},
	} {
		var stdout, stderr bytes.Buffer
		result = c.bad
		if code := run(context.Background(), c.args, &stdout, &stderr, rebuild); code != c.code {
			t.Errorf("%q: code %d, want %d", c.args, code, c.code)
		}
		if !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%q says %q", c.args, stderr.String())
		}
		if len(c.args) == 9 && (last.Kills != 7 || last.Victims != 3 || last.Seed != 9 || last.Seconds != 1.5) {
			t.Errorf("%q: %+v", c.args, last)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), []string{"fake"}, &stdout, &stderr, func() error { return errors.New("no Go here") }); code != 1 || stdout.Len() > 0 {
		t.Errorf("without Go: code %d, %q", code, stdout.String())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if code := run(ctx, []string{"fake"}, &stdout, &stderr, rebuild); code != 1 {
		t.Errorf("interrupted: code %d", code)
	}
}

// TestPlainCommand builds the command as go run does, without crash points: it makes itself the one that has them, and leaves no file.
func TestPlainCommand(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	dir := t.TempDir()
	exe := filepath.Join(dir, "plain")
	if out, err := exec.Command("go", "build", "-o", exe, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "queue", "-kills", "60", "-patience", "2m")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, stdout.String(), stderr.String())
	}
	var res torture.Result
	if err := json.Unmarshal(stdout.Bytes(), &res); err != nil || strings.Count(stdout.String(), "\n") != 1 {
		t.Fatalf("%v: %q", err, stdout.String())
	}
	if res.Suite != "queue" || res.Kills < 60 || res.Critical != res.Kills || res.Trouble() {
		t.Errorf("%s", stdout.String())
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the directory for temporary files: %v, %v", left, err)
	}
}
