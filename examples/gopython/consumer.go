package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc/conn"
)

// script is what the Python processes run.
//
//go:embed consumer.py
var script string

// findPython looks for a python3 that has what is needed: what stands under the name may be a shim for none.
func findPython(ctx context.Context) (string, error) {
	const check = "import sys, multiprocessing.connection; sys.exit(sys.version_info < (3, 8))"
	path, err := exec.LookPath("python3")
	if err == nil {
		err = exec.CommandContext(ctx, path, "-I", "-c", check).Run()
	}
	if err != nil {
		return "", fmt.Errorf("there is no python3 of version 3.8 or later: %w", err)
	}
	return path, nil
}

// A starter starts consumers, one at a time: so the next connection is that of the process just started.
type starter struct {
	mu       sync.Mutex
	python   string
	listener *conn.Listener
	key      []byte
}

// A consumer is a Python process, and the connection to it.
type consumer struct {
	conn  *conn.Conn
	cmd   *exec.Cmd
	ended <-chan struct{}
}

// start starts a Python process and waits until it has connected. When ctx ends the process is killed.
func (s *starter) start(ctx context.Context) (*consumer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := exec.CommandContext(ctx, s.python, "-I", "-c", script, s.listener.Addr().String())
	cmd.Stdin = strings.NewReader(string(s.key) + "\n") // arguments can be seen by everybody
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	alive, died := context.WithCancelCause(ctx)
	defer died(nil)
	go func() {
		err := cmd.Wait()
		died(fmt.Errorf("python3 has ended before it connected: %v", err))
		close(ended)
	}()
	c, err := s.listener.Accept(alive)
	if err != nil {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
		if alive.Err() != nil {
			err = context.Cause(alive)
		}
		return nil, err
	}
	return &consumer{c, cmd, ended}, nil
}

// close closes the connection, at which the process ends.
func (c *consumer) close() error {
	err := c.conn.Close()
	<-c.ended
	return err
}

// summarize has a batch summarized.
func (c *consumer) summarize(ctx context.Context, b batch) (s summary, err error) {
	message, err := json.Marshal(b)
	if err != nil {
		return s, err
	}
	if err := c.conn.SendBytes(ctx, message); err != nil {
		return s, err
	}
	if message, err = c.conn.RecvBytes(ctx); err != nil {
		return s, err
	}
	return s, json.Unmarshal(message, &s)
}

// attempts is how many Python processes may die with one batch.
const attempts = 3

// consume has batches summarized until there are no more, by a Python process of its own, and by another when that has died.
func consume(ctx context.Context, starter *starter, batches <-chan batch, summaries chan<- summary) (err error) {
	var c *consumer
	defer func() {
		if c != nil {
			err = errors.Join(err, c.close())
		}
	}()
	for b := range batches {
		var s summary
		for attempt := 1; ; attempt++ {
			if c == nil {
				if c, err = starter.start(ctx); err != nil {
					return err
				}
			}
			if s, err = c.summarize(ctx, b); err == nil {
				break
			}
			err = errors.Join(fmt.Errorf("batch %d: %w", b.ID, err), c.close())
			c = nil
			if attempt == attempts || ctx.Err() != nil {
				return err
			}
		}
		switch {
		case s.Error != "":
			return fmt.Errorf("batch %d: %s", b.ID, s.Error)
		case s.ID != b.ID:
			return fmt.Errorf("batch %d: the answer is for batch %d", b.ID, s.ID)
		}
		select {
		case summaries <- s:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
