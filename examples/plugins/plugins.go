package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"
)

// plugins are what others have written: two that work, and every way not to.
var plugins = map[string]func(ctx context.Context, input string) (string, error){
	"upper": func(_ context.Context, input string) (string, error) { return strings.ToUpper(input), nil },
	"refuse": func(_ context.Context, input string) (string, error) {
		return "", errors.New("the input is not to my liking")
	},
	"panic": func(_ context.Context, input string) (string, error) { panic("out of ideas") },
	"nil": func(_ context.Context, input string) (string, error) {
		var p *struct{ text string }
		return p.text, nil
	},
	"goroutine": func(ctx context.Context, input string) (string, error) {
		go func() { panic("in a goroutine, where nobody can recover it") }()
		<-ctx.Done()
		return "", ctx.Err()
	},
	"exit": func(_ context.Context, input string) (string, error) {
		os.Exit(3)
		return "", nil
	},
	"kill": func(ctx context.Context, input string) (string, error) {
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		<-ctx.Done()
		return "", err
	},
	"wild": func(_ context.Context, input string) (string, error) { return wild(), nil },
	"overflow": func(_ context.Context, input string) (string, error) {
		var deeper func(n int) int
		deeper = func(n int) int { return deeper(n+1) + n }
		return strings.Repeat(input, deeper(0)), nil
	},
	"loop": func(_ context.Context, input string) (string, error) {
		n := 0
		for n < 3 {
			n = (n + 1) % 3
		}
		return strings.Repeat(input, n), nil
	},
	"sleep": func(ctx context.Context, input string) (string, error) { // a good one that is slow
		<-ctx.Done()
		return "", ctx.Err()
	},
	"hog": func(ctx context.Context, input string) (string, error) {
		var all [][]byte
		for len(all) < 1<<10 && ctx.Err() == nil {
			mib := make([]byte, 1<<20)
			for i := 0; i < len(mib); i += 1 << 10 {
				mib[i] = 1
			}
			all = append(all, mib)
			time.Sleep(time.Millisecond)
		}
		<-ctx.Done()
		return string(all[0][:1]), ctx.Err()
	},
}
