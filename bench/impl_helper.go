package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// helperVariable is set in the environment of a process that is started to be the other side of a measurement of pipes
// and sockets, or to end at once: the peers of multiproc stand on os/exec, not on multiproc.
const helperVariable = "MULTIPROC_BENCH_HELPER"

const (
	helperExit = "exit" // ends at once
	helperSink = "sink" // SIZE N: receives messages on its standard input
	helperEcho = "echo" // SIZE N: sends back on its standard output what comes on its standard input

	helperLate   = "late"   // SIZE N: the same after a while, N messages and one more
	helperAccept = "accept" // 1 N: accepts N connections at the socket on its standard input
	helperPolled = "polled" // SIZE N: the same without frames, and without ever sleeping
)

// A helper runs before main, so that every program that imports this package can be its own helper.
func init() {
	if role := os.Getenv(helperVariable); role != "" {
		os.Exit(beHelper(role))
	}
}

func beHelper(role string) int {
	name, args, _ := strings.Cut(role, " ")
	if name == helperExit {
		return 0
	}
	var size, n int
	if _, err := fmt.Sscan(args, &size, &n); err != nil {
		fmt.Fprintf(os.Stderr, "%s=%q: %v\n", helperVariable, role, err)
		return 2
	}
	done := make(chan error)
	go func() { // not on the main thread, which is wired to this goroutine during init
		switch name {
		case helperSink:
			done <- sink(os.Stdin, os.Stdout, size, n)
		case helperEcho:
			done <- echo(os.Stdin, os.Stdout, size)
		case helperLate:
			done <- late(os.Stdin, os.Stdout, size, n)
		case helperAccept:
			done <- accept(os.Stdin, n)
		case helperPolled:
			done <- polled(os.Stdin, os.Stdout, size, n)
		default:
			done <- errors.New("unknown role")
		}
	}()
	if err := <-done; err != nil {
		fmt.Fprintf(os.Stderr, "helper %s: %v\n", name, err)
		return 1
	}
	return 0
}

type helper struct {
	cmd    *exec.Cmd
	stderr *bytes.Buffer
}

// startHelper starts this executable as a helper that ends with ctx.
func startHelper(ctx context.Context, role string, stdin, stdout *os.File, size, n int) (*helper, error) {
	cmd, err := helperCommand(ctx, fmt.Sprintf("%s %d %d", role, size, n))
	if err != nil {
		return nil, err
	}
	h := &helper{cmd: cmd, stderr: new(bytes.Buffer)}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, h.stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a helper process: %w", err)
	}
	return h, nil
}

func helperCommand(ctx context.Context, role string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this executable: %w", err)
	}
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), helperVariable+"="+role)
	cmd.WaitDelay = outputDelay
	inGroup(cmd)
	return cmd, nil
}

// wait waits for the helper's end and returns ctx's error when it has ended, and otherwise err with
// what the helper says went wrong.
func (h *helper) wait(ctx context.Context, err error) error {
	waitErr := h.cmd.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if waitErr == nil {
		return err
	}
	waitErr = fmt.Errorf("helper process: %w: %s", waitErr, lastLine(h.stderr.String()))
	if err != nil {
		return fmt.Errorf("%w; %w", err, waitErr)
	}
	return waitErr
}

// lastLine returns the last line of what a program wrote, which says what went wrong.
func lastLine(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		s = s[i+1:]
	}
	if s == "" {
		return "it wrote no message"
	}
	return s
}
