package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/fb2d3dbd/multiproc"
)

type numbered struct {
	I    int
	Name string
}

var sendTen = multiproc.NewTarget("send ten", func(ctx context.Context, w *multiproc.PipeEnd) error {
	for i := range 10 {
		if err := w.Send(ctx, numbered{i, multiproc.ProcessName()}); err != nil {
			return err
		}
	}
	return w.Close()
})

// waitForMany reads the messages of four processes as they come, until every pipe is at its end.
func waitForMany(ctx context.Context) error {
	var readers []any
	for i := range 4 {
		r, w, err := multiproc.Pipe(false)
		if err != nil {
			return err
		}
		readers = append(readers, r)
		if _, err := sendTen.Start(ctx, w, &multiproc.ProcessOptions{Name: fmt.Sprintf("Process-%d", i+1)}); err != nil {
			return err
		}
		if err := w.Close(); err != nil { // the child is now the only one that has the writing end
			return err
		}
	}
	for len(readers) > 0 {
		ready, err := multiproc.Wait(ctx, readers...)
		if err != nil {
			return err
		}
		for _, r := range ready {
			msg, err := multiproc.Recv[numbered](ctx, r.(*multiproc.PipeEnd))
			if errors.Is(err, io.EOF) {
				readers = slices.DeleteFunc(readers, func(x any) bool { return x == r })
				continue
			}
			if err != nil {
				return err
			}
			fmt.Printf("(%d, %s)\n", msg.I, repr(msg.Name))
		}
	}
	return nil
}
