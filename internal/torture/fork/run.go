package fork

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	primitive "github.com/fb2d3dbd/multiproc/internal/fork"
)

// Options of a run.
type Options struct {
	Forks    int
	Case     string        // run only this one; "" means all, in turns
	Kind     string        // fork only from this kind of process; "" means all
	Patience time.Duration // how long a child may take before it counts as hung
	Log      io.Writer
}

// Kinds of processes that are copied.
var Kinds = []string{"quiet", "busy", "zygote"}

// Cases lists the names of the cases.
func Cases() (names []string) {
	for _, c := range cases {
		names = append(names, c.name)
	}
	return names
}

var procs = []int{1, 2, 8}

// workerVariable holds the orders of a worker, a process that copies itself.
const workerVariable = "MULTIPROC_TORTURE_FORK"

type orders struct {
	Kind     string
	Case     string
	Forks    int
	First    int // number of the first fork, which says which case begins
	Patience time.Duration
	Serve    bool // be the zygote, on descriptor 3
}

// Worker runs what a worker does in a process that is one, and does not return then. It is the first statement of main.
func Worker() {
	text := os.Getenv(workerVariable)
	if text == "" {
		return
	}
	os.Unsetenv(workerVariable)
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	work(o)
	os.Exit(0)
}

// Run has workers fork until as many have been as asked for.
func Run(ctx context.Context, o Options) (res Result) {
	begin := time.Now()
	res.Suite, res.Cases = "fork", len(cases)
	defer func() { res.Seconds = float64(time.Since(begin).Milliseconds()) / 1000 }()
	if o.Log == nil {
		o.Log = io.Discard
	}
	if err := primitive.Available(); err != nil {
		fmt.Fprintln(o.Log, err)
		res.Failed++
		return res
	}
	kinds := Kinds
	if o.Kind != "" {
		kinds = []string{o.Kind}
	}
	batches := len(kinds) * len(procs)
	last := 0
	for i := range batches {
		first := last
		last = o.Forks * (i + 1) / batches
		if kind := kinds[i%len(kinds)]; kind == "quiet" && len(kinds) > 1 { // more of these, because they take a fraction of the time of busy ones
			last += (last - first) / 2
		}
		if first == last {
			continue
		}
		order := orders{Kind: kinds[i%len(kinds)], Case: o.Case, Forks: last - first, First: first, Patience: o.Patience}
		p, begin := procs[i/len(kinds)], time.Now()
		part, err := runWorker(ctx, order, p, o.Log)
		if err != nil {
			fmt.Fprintf(o.Log, "fork: %s with GOMAXPROCS=%d: %v\n", order.Kind, p, err)
			part.Failed++
		}
		res.add(part)
		fmt.Fprintf(o.Log, "fork: %s with GOMAXPROCS=%d: %d forks, %d ok, %d bad, %d hung, %d refused in %.1f s\n",
			order.Kind, p, part.Forks, part.OK, part.Bad, part.Hung, part.Refused, time.Since(begin).Seconds())
		if part.Trouble() || ctx.Err() != nil {
			break
		}
	}
	return res
}

func runWorker(ctx context.Context, o orders, procs int, log io.Writer) (res Result, err error) {
	text, err := json.Marshal(o)
	if err != nil {
		return res, err
	}
	exe, err := os.Executable()
	if err != nil {
		return res, err
	}
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), workerVariable+"="+string(text), fmt.Sprintf("GOMAXPROCS=%d", procs))
	cmd.Stderr = log
	cmd.WaitDelay = o.Patience // a hung child may have the streams
	out, err := cmd.Output()
	lines := strings.Split(string(bytes.TrimSpace(out)), "\n")
	if e := json.Unmarshal([]byte(lines[len(lines)-1]), &res); err == nil {
		err = e
	}
	return res, err
}
