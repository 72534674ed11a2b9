package pool

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/fb2d3dbd/multiproc"
)

// Options are for making a pool. Nil and the zero value work.
type Options struct {
	// Workers is the number of processes. 0 means one for each CPU that this program may use (runtime.GOMAXPROCS).
	Workers int
	// Process says how the workers are started. Its Name, by default that of the function, is followed by a number. Its Method is multiproc.Spawn or
	// multiproc.ForkServer, by default that of multiproc.SetStartMethod; multiproc.Fork is refused, with an error that matches errors.ErrUnsupported.
	Process multiproc.ProcessOptions
	// TasksPerWorker is how many tasks a worker begins before it is replaced by a fresh one. 0 means any number.
	TasksPerWorker int
	// MemoryLimit is the resident size in bytes that a worker may have; what is over it is replaced, and a task that it was running gets ErrMemory. The
	// parent looks ten times a second. 0 means no limit. Linux only.
	MemoryLimit int64
	// Grace is how long a task may go on after its context has ended, before its worker is ended. 0 means two seconds.
	Grace time.Duration
	// StartFailures is how many workers in a row may die before they are ready: then the pool is broken. 0 means 5.
	StartFailures int
	// Backlog is the most tasks that are under way in the pool, waiting or running; callers with more wait. 0 means 16384.
	Backlog int
	// Bytes is the memory for arguments under way, and that for results, beyond small ones; no single one may be larger. It is taken as it is used. 0 means 64 MiB.
	Bytes int
	// Logger hears of workers that come and go; nil means nobody does.
	Logger *slog.Logger
}

const (
	maxCrew    = 1 << 12
	maxBacklog = 1 << 20
)

func (o *Options) complete(name string) (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	for _, f := range []struct {
		name    string
		v, most int64
	}{
		{"Workers", int64(c.Workers), maxCrew}, {"TasksPerWorker", int64(c.TasksPerWorker), 1 << 40}, {"MemoryLimit", c.MemoryLimit, 1 << 62},
		{"Grace", int64(c.Grace), 1 << 62}, {"StartFailures", int64(c.StartFailures), 1 << 30}, {"Backlog", int64(c.Backlog), maxBacklog}, {"Bytes", int64(c.Bytes), 1 << 40},
	} {
		if f.v < 0 || f.v > f.most {
			return c, fmt.Errorf("pool: Options.%s is %d; it must be from 0 to %d", f.name, f.v, f.most)
		}
	}
	if c.MemoryLimit > 0 {
		if _, err := residentSize(0); err != nil {
			return c, fmt.Errorf("pool: Options.MemoryLimit: %w", err)
		}
	}
	or(&c.Workers, runtime.GOMAXPROCS(0))
	or(&c.Grace, 2*time.Second)
	or(&c.StartFailures, 5)
	or(&c.Backlog, 16384)
	or(&c.Bytes, 64<<20)
	or(&c.Process.Name, name)
	or(&c.Process.Method, multiproc.DefaultStartMethod()) // for all workers of this pool, those that take the place of others too
	if c.Process.Method == multiproc.Fork {
		return c, errFork
	}
	if err := c.Process.Method.Available(); err != nil {
		return c, fmt.Errorf("pool: Options.Process.Method: %w", err)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

func or[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// CallOptions are for the calls of a pool; see [Pool.With]. Nil and the zero value work.
type CallOptions struct {
	// Chunk is how many tasks travel in one message. 0 means as many as take about 200 microseconds, by the cost that was measured so far.
	Chunk int
	// Window is how many tasks IMap and IMapUnordered take from their input before the loop has seen their results. 0 means 64 for each worker.
	Window int
	// Retries is how often a task is begun again after its worker has died with it. It is then run more than once.
	Retries int
	// Timeout is how long a task may run. Then its context ends with context.DeadlineExceeded, and after the pool's grace its worker is ended. 0 means no limit.
	Timeout time.Duration
	// Progress is called now and then, and at the end of the call, on one goroutine at a time, with the number of tasks that have ended, and of all (-1 while the input
	// of an IMap has not ended).
	Progress func(done, total int)
}

func (c *CallOptions) check() error {
	if c.Chunk < 0 || c.Window < 0 || c.Retries < 0 || c.Timeout < 0 {
		return fmt.Errorf("pool: negative CallOptions: Chunk %d, Window %d, Retries %d, Timeout %v", c.Chunk, c.Window, c.Retries, c.Timeout)
	}
	return nil
}

// A Pool is a crew of processes that run one function on what they are given. Its methods may be called from any goroutine.
//
// Close it and Join it when it has done its work, or Terminate it: its workers live as long as this process otherwise.
type Pool[In, Out any] struct {
	e    *engine
	f    *Func[In, Out]
	call CallOptions
}

// New starts a pool. It returns when its workers are on their way; a failing initializer is told by the calls.
func New[In, Out any](f *Func[In, Out], o *Options) (*Pool[In, Out], error) {
	if f.err != nil {
		return nil, f.err
	}
	opts, err := o.complete(f.name)
	if err != nil {
		return nil, err
	}
	e, err := newEngine(f.name, opts, roomFor[Out](f.out), f.start)
	if err != nil {
		return nil, err
	}
	return &Pool[In, Out]{e: e, f: f}, nil
}

// With returns the same pool with other options for its calls.
func (p *Pool[In, Out]) With(o *CallOptions) *Pool[In, Out] {
	if o == nil {
		o = &CallOptions{}
	}
	return &Pool[In, Out]{p.e, p.f, *o}
}

// Close ends the intake: later calls return ErrClosed; what was begun is finished, and then the workers leave.
func (p *Pool[In, Out]) Close() error { return p.e.close() }

// Join waits until a closed pool has done all its work and its workers have left, or ctx ends. A worker that somebody has stopped (SIGSTOP) is
// waited for like one that is slow; Terminate ends it.
func (p *Pool[In, Out]) Join(ctx context.Context) error { return p.e.join(ctx) }

// Terminate ends the workers at once. Tasks that have not ended get ErrTerminated. It returns when the workers are gone. A second Terminate, and one
// after Join, does nothing.
func (p *Pool[In, Out]) Terminate() error { return p.e.terminate() }

// Stats say what a pool has done.
type Stats struct {
	Workers int    // alive now
	Started uint64 // workers so far
	Died    uint64 // of those, how many ended otherwise than in order
	Begun   uint64 // tasks handed to the pool
	Ended   uint64 // tasks that have ended, in whatever way
	Retried uint64 // tasks begun again after a death
}

// Stats says what the pool has done so far.
func (p *Pool[In, Out]) Stats() Stats { return p.e.statsNow() }

// Workers returns the processes of the crew that run now.
func (p *Pool[In, Out]) Workers() []*multiproc.Process { return p.e.processes() }
