package multiproc_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// closers forks one process after the other, each with an end of a pipe that this process closes at once. It is given up when the child has it; that goes on in the background, also while
// the next is forked.
var closers = proctest.NewProgram("closers", func() int {
	multiproc.Init()
	ctx := context.Background()
	for _, procs := range []int{1, 2} {
		runtime.GOMAXPROCS(procs)
		for range 10 {
			var readers []*multiproc.PipeEnd
			var children []*multiproc.Process
			for i := range 8 {
				r, w, err := multiproc.Pipe(false)
				if err != nil {
					panic(err)
				}
				p, err := closing.Start(ctx, w, &multiproc.ProcessOptions{Method: multiproc.Fork})
				if err != nil {
					fmt.Println(procs, i, err)
					return 1
				}
				if err := w.Close(); err != nil {
					panic(err)
				}
				readers, children = append(readers, r), append(children, p)
			}
			for i, r := range readers {
				if n, err := multiproc.Recv[int](ctx, r); n != children[i].PID() || err != nil {
					fmt.Println(n, err)
				}
				if err := r.Close(); err != nil {
					fmt.Println(err)
				}
				if err := children[i].Wait(ctx); err != nil {
					fmt.Println(err)
				}
			}
		}
	}
	return 0
})

var closing = multiproc.NewTarget("closing", func(ctx context.Context, w *multiproc.PipeEnd) error {
	return w.Send(ctx, os.Getpid())
})

func TestForkWhilePipesAreGivenUp(t *testing.T) {
	if out := quietly(t, closers); out != "" {
		t.Error(out)
	}
}
