package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// command is the command itself.
var command = proctest.NewProgram("plugins", func() int {
	main()
	return 0
})

// endings says how each plug-in ends; those that take a while may find their time over first, on a loaded machine.
var endings = map[string]string{
	"exit":      "error: .* died: exit code 3$",
	"goroutine": "error: .* died: exit code 2: panic: in a goroutine, where nobody can recover it",
	"hog":       "error: .* (exceeded its memory limit|deadline exceeded|exceeded its time-out)",
	"kill":      `error: .* died: killed by signal 9`,
	"loop":      "error: .* exceeded its time-out of 5s; it did not end .*, and its worker was ended",
	"nil":       "error: .*: panic: .*nil pointer dereference",
	"overflow":  "error: .* (died: exit code 2|exceeded its memory limit|exceeded its time-out)",
	"panic":     "error: .*: panic: out of ideas",
	"refuse":    "error: .*: the input is not to my liking",
	"sleep":     "error: .* (context deadline exceeded|exceeded its time-out)",
	"upper":     "HELLO",
	"wild":      "error: .* died: (exit code 2|killed by signal)",
}

func TestCommand(t *testing.T) {
	unlessUnsupported(t)
	cmd := command.Command(proctest.Context(t), "-timeout", "5s")
	var stderr bytes.Buffer // with the stacks of plug-ins
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr.Bytes())
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(plugins)+1 || len(endings) != len(plugins) {
		t.Fatalf("it printed %d lines of %d plug-ins:\n%s", len(lines), len(plugins), out)
	}
	for _, line := range lines[:len(plugins)] {
		name, ending, _ := strings.Cut(line, " ")
		if !regexp.MustCompile("^ *" + endings[name]).MatchString(ending) {
			t.Errorf("%q, want %q", line, endings[name])
		}
	}
	if !regexp.MustCompile("^12 requests in between were answered; [5-9] workers died and were replaced$").MatchString(lines[len(plugins)]) {
		t.Errorf("it says %q", lines[len(plugins)])
	}
}

func TestHandler(t *testing.T) {
	unlessUnsupported(t)
	s, err := newService(2, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.handler())
	defer server.Close()
	for _, c := range []struct {
		name, input string
		status      int
		answer      string
	}{
		{"upper", "hello", 200, "HELLO"},
		{"exit", "hello", 502, "exit code 3"},
		{"refuse", "hello", 422, "not to my liking"},
		{"panic", "hello", 502, "out of ideas"},
		{"sleep", "hello", 504, "deadline"},
		{"nobody", "hello", 404, `no such plug-in: "nobody"`},
		{"upper", strings.Repeat("x", inputLimit+1), 400, "too large"},
		{"upper", "again", 200, "AGAIN"},
	} {
		status, answer := post(t, server.Client(), server.URL+"/plugins/"+c.name, c.input)
		if status != c.status || !strings.Contains(answer, c.answer) {
			t.Errorf("%s: %d %q, want %d %q", c.name, status, answer, c.status, c.answer)
		}
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if status, answer := post(t, server.Client(), server.URL+"/plugins/upper", "late"); status != 503 {
		t.Errorf("after the end: %d %q", status, answer)
	}
}

func post(t *testing.T, client *http.Client, url, input string) (status int, answer string) {
	t.Helper()
	r, err := client.Post(url, "text/plain", strings.NewReader(input))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

// TestServing asks the command itself, and ends it by an interrupt.
func TestServing(t *testing.T) {
	unlessUnsupported(t)
	cmd := command.Command(proctest.Context(t), "-http", "localhost:0", "-workers", "1")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening at ")
	if err != nil || !ok {
		t.Fatalf("it says %q, %v", line, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if status, answer := post(t, client, url+"upper", "hello"); status != http.StatusOK || answer != "HELLO" {
		t.Errorf("%d %q", status, answer)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after an interrupt: %v", err)
	}
	bad := command.Command(proctest.Context(t), "-http", "no address")
	if out, err := bad.CombinedOutput(); err == nil || !strings.Contains(string(out), "no address") {
		t.Errorf("a bad address: %v, %s", err, out)
	}
}

func unlessUnsupported(t *testing.T) {
	t.Helper()
	s, err := newService(1, time.Second)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

func TestStatus(t *testing.T) {
	if got := status(errors.New("anything else")); got != http.StatusBadGateway {
		t.Errorf("got %d", got)
	}
}
