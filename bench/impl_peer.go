package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// peerTimeout is how long a peer program goes on when nothing ends it sooner; it then gives up by itself.
const peerTimeout = 2 * time.Minute

// peerSeconds returns after how many seconds a peer is to give up: soon after ctx ends.
func peerSeconds(ctx context.Context) int {
	left := peerTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline))
	}
	return int(max(left, 0)/time.Second) + 1
}

// outputDelay is how long the end of a program's output may take after its own, on a machine that stands still meanwhile.
const outputDelay = 20 * time.Second

// runPeer runs a program of another language, which does n operations and prints "n elapsed_ns [key=value...]". When ctx
// ends its process group is killed.
func runPeer(ctx context.Context, n int, stdin io.Reader, program string, args ...string) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	cmd.WaitDelay = outputDelay
	inGroup(cmd)
	err := cmd.Run()
	name := filepath.Base(program)
	if ctx.Err() != nil {
		return Result{}, fmt.Errorf("%s: %w", name, ctx.Err())
	}
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w: %s", name, err, lastLine(stderr.String()))
	}
	r, err := parsePeer(stdout.String())
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", name, err)
	}
	if r.Ops != n {
		return Result{}, fmt.Errorf("%s: did %d of %d operations", name, r.Ops, n)
	}
	return r, nil
}

// parsePeer reads the line that a peer prints.
func parsePeer(line string) (Result, error) {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return Result{}, fmt.Errorf("printed %q instead of its figures", line)
	}
	ops, err := strconv.Atoi(fields[0])
	if err != nil {
		return Result{}, fmt.Errorf("number of operations: %w", err)
	}
	elapsed, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return Result{}, fmt.Errorf("elapsed time: %w", err)
	}
	r := Result{Ops: ops, Elapsed: time.Duration(elapsed)}
	for _, field := range fields[2:] {
		key, value, ok := strings.Cut(field, "=")
		if !ok {
			return Result{}, fmt.Errorf("printed %q, which is not key=value", field)
		}
		if r.Extra == nil {
			r.Extra = make(map[string]string)
		}
		r.Extra[key] = value
	}
	return r, nil
}
