package main

import (
	"context"
	"errors"
	"io"

	"github.com/fb2d3dbd/multiproc/bench"
	"github.com/fb2d3dbd/multiproc/bench/stats"
)

// run measures and writes samples, each as soon as it is taken.
func (t *tool) run(ctx context.Context, args []string) error {
	fs := flags("ipcbench run [flags]")
	var c choices
	c.register(fs)
	name := fs.String("o", "-", "write to this `file`; - is standard output. With a file, tables go to standard output")
	resume := fs.Bool("resume", false, "go on where the file ends, with what it lacks of what is asked for")
	benchFormat := fs.Bool("benchfmt", false, "write the Go benchmark format, for benchstat, instead of JSON lines")
	if err := t.parse(fs, args); err != nil {
		return err
	}
	if err := noMore(fs); err != nil {
		return err
	}
	scenarios, runner, err := c.settle(false)
	if err != nil {
		return err
	}
	if *resume && (*name == "-" || *benchFormat) {
		return usageError("-resume wants a file of JSON lines to go on with: -o FILE, and no -benchfmt")
	}
	var size int64
	if *resume {
		if size, err = t.goOnFile(&runner, *name, scenarios); err != nil {
			return err
		}
	}
	out, closeOut := t.stdout, func() error { return nil }
	if *name != "-" {
		f, err := openResults(*name, size)
		if err != nil {
			return usageError("-o: %w", err)
		}
		out, closeOut = f, f.Close
	}
	res, err := t.measure(ctx, scenarios, runner, sampleWriter(out, *benchFormat))
	if err := errors.Join(err, closeOut()); err != nil {
		return err
	}
	if *name != "-" {
		if err := stats.WriteTables(t.stdout, stats.Analyse(res.Samples, []*bench.Run{res}), t.style()); err != nil {
			return err
		}
	}
	return t.verdict(res)
}

// sampleWriter returns a function that writes samples in one of the two formats.
func sampleWriter(w io.Writer, benchFormat bool) func(bench.Sample) error {
	if benchFormat {
		return stats.NewBenchWriter(w).Write
	}
	return func(s bench.Sample) error { return bench.WriteSample(w, s) }
}
