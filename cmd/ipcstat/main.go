// Command ipcstat shows the shared memory of multiproc on this machine: which segments there are, who uses them, who holds which lock, what waits in which queue. It
// checks them and takes away what the dead have left. It only looks, and does not disturb those whom it looks at; gc alone changes something.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
