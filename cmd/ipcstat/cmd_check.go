package main

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/fb2d3dbd/multiproc/internal/inspect"
	"github.com/fb2d3dbd/multiproc/shm"
)

func (t *tool) check(args []string) error {
	fs := t.flags("check [-json] [SEGMENT...]")
	if err := t.parse(fs, args); err != nil {
		return err
	}
	scan, err := t.segments(fs.Args())
	if err != nil {
		return err
	}
	findings := []inspect.Finding{}
	bad := false
	for _, s := range scan.Segments {
		switch {
		case s.HasMemory():
			f := s.Check()
			bad = bad || len(f.Problems) > 0
			findings = append(findings, f)
		case s.Kind == inspect.Unknown:
			bad = true
			findings = append(findings, inspect.Finding{Name: s.Name, Problems: []string{s.Problem}, Left: []string{}})
		case s.Kind == inspect.DeadName:
			findings = append(findings, inspect.Finding{Name: s.Name, Segment: s.ID, Problems: []string{}, Left: []string{"the name of a segment that nobody has open any more"}})
		}
	}
	if t.json {
		err = t.writeJSON(findings)
	} else {
		t.hidden(scan)
		for _, f := range findings {
			fmt.Fprintf(t.out, "%s: %d objects, %d problems, %d things that the dead have left\n", nameText(f.Name, f.Segment), f.Objects, len(f.Problems), len(f.Left))
			for _, p := range f.Problems {
				fmt.Fprintf(t.out, "  PROBLEM %s\n", p)
			}
			for _, l := range f.Left {
				fmt.Fprintf(t.out, "  left: %s\n", l)
			}
		}
	}
	if err == nil && bad {
		err = errFound
	}
	return err
}

func (t *tool) dump(args []string) error {
	fs := t.flags("dump [-json] [-object] [-at OFFSET] [-bytes N] SEGMENT")
	object := fs.Bool("object", false, "the offset is that of an object in the arena, as the list of them has it")
	at := fs.Uint64("at", 0, "show bytes from this offset on")
	n := fs.Int("bytes", 256, "how many bytes")
	if err := t.parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return usageError{errors.New("dump takes one segment")}
	}
	if *n < 1 {
		return usageError{fmt.Errorf("-bytes %d", *n)}
	}
	scan, err := t.segments(fs.Args())
	if err != nil {
		return err
	}
	s := scan.Segments[0]
	if len(scan.Segments) > 1 {
		return usageError{fmt.Errorf("%q means %d segments", fs.Arg(0), len(scan.Segments))}
	}
	if !s.HasMemory() {
		return fmt.Errorf("%s: %s: there is nothing to look into", fs.Arg(0), s.Kind)
	}
	bytes := *object
	fs.Visit(func(f *flag.Flag) { bytes = bytes || f.Name == "at" || f.Name == "bytes" })
	if bytes {
		b, err := s.Read(*object, *at, *n)
		if err != nil {
			return err
		}
		if t.json {
			return t.writeJSON(map[string]any{"at": *at, "bytes": b})
		}
		_, err = fmt.Fprint(t.out, hex.Dump(b))
		return err
	}
	all, err := s.Objects()
	if err != nil {
		return err
	}
	if t.json {
		return t.writeJSON(struct {
			*inspect.Segment
			Objects []inspect.Object `json:"objects"`
		}{s, all})
	}
	if err := t.listSegments(scan.Segments); err != nil {
		return err
	}
	fmt.Fprintln(t.out)
	var rows [][]string
	for _, o := range all {
		owner := "-"
		if o.Owner.Token != 0 {
			owner = inspect.Who([]inspect.User{o.Owner})
		}
		rows = append(rows, []string{fmt.Sprintf("%#x", o.Offset), bytesText(int64(o.Block)), o.State, orDash(o.Kind), fmt.Sprint(o.Size), owner, hex.EncodeToString(o.Bytes[:min(16, len(o.Bytes))])})
	}
	return t.table("OFFSET BLOCK STATE KIND SIZE OWNER BYTES", rows)
}

// A removal is what gc has done, or would do.
type removal struct {
	What    string `json:"what"`
	Name    string `json:"name"`
	Problem string `json:"problem,omitempty"`
}

func (t *tool) gc(args []string) error {
	fs := t.flags("gc [-json] [-n] [-kept] [-python] [SEGMENT...]")
	dry := fs.Bool("n", false, "only say what would be done")
	kept := fs.Bool("kept", false, "also kept segments that nobody has open")
	python := fs.Bool("python", false, "also blocks named psm_* that nobody has open or maps: their maker may mean to open them again")
	if err := t.parse(fs, args); err != nil {
		return err
	}
	scan, err := t.segments(fs.Args())
	if err != nil {
		return err
	}
	all := []removal{}
	do := func(what, name string, fn func() error) {
		r := removal{What: what, Name: name}
		if !*dry {
			if err := fn(); err != nil && !errors.Is(err, os.ErrNotExist) {
				r.Problem = err.Error()
			}
		}
		all = append(all, r)
	}
	for _, s := range scan.Segments {
		unused := len(s.Mapped) == 0 && len(s.Open) == 0
		switch {
		case s.Kind == inspect.DeadName:
			do("dead name", s.Name, func() error { return shm.UnlinkDead(s.Name) })
		case *kept && s.Kind == inspect.Kept && s.Alive() == 0 && unused && s.Problem == "":
			do("kept segment", s.Name, func() error { return shm.Unlink(s.Name) })
		case *python && s.Kind == inspect.Python && unused && scan.Hidden == 0:
			do("block", s.Name, func() error { return shm.UnlinkSharedMemory(s.Name) })
		case s.HasMemory() && s.Alive() > 0:
			if left := s.Collectable(); left > 0 {
				do(fmt.Sprintf("%d blocks that the dead have left", left), nameText(s.Name, s.ID), s.Collect)
			}
		}
	}
	if t.json {
		return t.writeJSON(all)
	}
	t.hidden(scan)
	failed := false
	for _, r := range all {
		fmt.Fprintf(t.out, "%s: %s%s\n", r.Name, r.What, note(r.Problem))
		failed = failed || r.Problem != ""
	}
	if failed {
		return errFound
	}
	return nil
}
