// Command ipcbench compares processes over shared memory with goroutines, with the kernel's own means, with CPython's
// multiprocessing and with small C programs, on the machine it runs on.
//
// Alone it runs the quick comparison in under two minutes, prints tables and writes a report folder. See docs/benchmarking.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/fb2d3dbd/multiproc"
)

func main() {
	multiproc.Init()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
