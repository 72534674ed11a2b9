package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// command is the command itself.
var command = proctest.NewProgram("gopython", func() int {
	main()
	return 0
})

func needPython(t *testing.T) string {
	t.Helper()
	path, err := findPython(t.Context())
	if err != nil {
		t.Skip(err)
	}
	return path
}

func TestCommand(t *testing.T) {
	needPython(t)
	out, err := command.Command(proctest.Context(t), "-batches", "20", "-size", "100").CombinedOutput()
	want := `^20 batches of 100 readings by [12] Python processes in \S+
the mean of all is (19\.9|20\.0)\d+; batch \d+ has the widest spread, [12]\.\d+ about (19|20)\.\d+
$`
	if err != nil || !regexp.MustCompile(want).Match(out) {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := command.Command(proctest.Context(t), "-size", "1").CombinedOutput(); err == nil || !strings.Contains(string(out), "2 or more") {
		t.Errorf("batches of one reading: %v\n%s", err, out)
	}
}

func TestWithoutPython(t *testing.T) {
	cmd := command.Command(proctest.Context(t))
	cmd.Env = append(cmd.Environ(), "PATH="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "left out: there is no python3") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestPythonThatEndsAtOnce(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("scripts are not executable there")
	}
	path := filepath.Join(t.TempDir(), "python3")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 7\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := pipeline(proctest.Context(t), options{batches: 3, size: 2, consumers: 2}, path)
	if err == nil || !strings.Contains(err.Error(), "before it connected: exit status 7") {
		t.Errorf("got %v", err)
	}
}

// consuming runs one consumer, and returns what goes to it and comes from it, and how it ended.
func consuming(t *testing.T, ctx context.Context) (batches chan batch, summaries chan summary, ended chan error) {
	t.Helper()
	l, err := conn.Listen("unix", "", &conn.ListenOptions{Key: []byte("key")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s := &starter{python: needPython(t), listener: l, key: []byte("key")}
	batches, summaries, ended = make(chan batch), make(chan summary), make(chan error, 1)
	go func() { ended <- consume(ctx, s, batches, summaries) }()
	return batches, summaries, ended
}

func TestConsumerThatIsKilled(t *testing.T) {
	batches, summaries, ended := consuming(t, proctest.Context(t))
	seen := map[int]bool{}
	for id := range 3 {
		batches <- batch{id, []float64{1, 2, 6}}
		s := <-summaries
		if s.ID != id || s.Mean != 3 || s.Median != 2 || seen[s.PID] {
			t.Errorf("batch %d: %+v", id, s)
		}
		seen[s.PID] = true
		p, err := os.FindProcess(s.PID)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := p.Release(); err != nil {
			t.Fatal(err)
		}
	}
	close(batches)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestBatchThatPythonRefuses(t *testing.T) {
	batches, _, ended := consuming(t, proctest.Context(t))
	batches <- batch{ID: 5}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "batch 5: ") {
		t.Errorf("got %v", err)
	}
}

func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(proctest.Context(t))
	batches, summaries, ended := consuming(t, ctx)
	batches <- batch{1, []float64{1, 2}}
	<-summaries
	cancel()
	close(batches)
	if err := <-ended; err != nil {
		t.Errorf("after its last batch: %v", err)
	}
	if _, err := pipeline(ctx, options{batches: 1, size: 2, consumers: 1}, needPython(t)); err == nil {
		t.Error("a pipeline whose context has ended did its work")
	}
}
