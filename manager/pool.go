package manager

import (
	"context"
	"fmt"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/pool"
)

// A PoolType makes pools of workers in servers that run one function.
type PoolType[In, Out any] struct{ name string }

// NewPoolType lets clients make pools of the function, for use in a package-level variable: the server's program and the clients' have it, under the name of the function.
func NewPoolType[In, Out any](f *pool.Func[In, Out]) *PoolType[In, Out] {
	pools.add(f.Name(), poolMaker{poolTypes[In, Out](), func(o *pool.Options) (rawPool, error) {
		p, err := pool.New(f, o)
		if err != nil {
			return nil, err
		}
		return &typedPool[In, Out]{p}, nil
	}})
	return &PoolType[In, Out]{f.Name()}
}

func poolTypes[In, Out any]() string { return typeOf[In]() + "," + typeOf[Out]() }

// poolOptions are what travels of pool.Options.
type poolOptions struct {
	Workers, TasksPerWorker       int
	MemoryLimit                   int64
	Grace                         time.Duration
	StartFailures, Backlog, Bytes int
	Name, Dir, Executable         string
	Env                           []string
	Method                        multiproc.StartMethod
}

// callOptions are what travels of pool.CallOptions.
type callOptions struct {
	Chunk, Retries int
	Timeout        time.Duration
}

// A Pool is a proxy of a pool of workers, which are processes of the server's machine and children of the server; see package pool. Many clients can use one. It is terminated
// when nobody refers to it any more, and ends with the server, also when that is killed.
//
// A task's error is a [*pool.TaskError], and those of a Map a [*pool.MapError], as they are of a pool of one's own: errors.Is finds pool.ErrWorkerDied and the other errors of
// package pool, and errors.As a [*RemoteError] and a [*pool.WorkerDiedError]. The pool's own refusals match the same errors too: ErrClosed, pool.ErrTerminated, pool.ErrOpen.
type Pool[In, Out any] struct {
	r      *ref
	call   callOptions
	window int   // of IMap
	bad    error // of With
}

// New makes a pool in the server, or finds one by its name. po are as for pool.New, without what is of this process alone: Logger and standard streams. A server that was
// started by fork starts workers by no other method unless po says so, and by that it cannot: the error matches errors.ErrUnsupported and says what to do.
func (t *PoolType[In, Out]) New(ctx context.Context, m *Manager, po *pool.Options, o *ObjectOptions) (*Pool[In, Out], error) {
	if po == nil {
		po = &pool.Options{}
	}
	pr := po.Process
	if po.Logger != nil || pr.Stdin != nil || pr.Stdout != nil || pr.Stderr != nil {
		return nil, refuse(ErrValue, "the Logger and the standard streams of a pool's options cannot be sent to a server")
	}
	po2 := poolOptions{
		po.Workers, po.TasksPerWorker, po.MemoryLimit, po.Grace, po.StartFailures, po.Backlog, po.Bytes, pr.Name, pr.Dir, pr.Executable, pr.Env, pr.Method,
	}
	r, err := m.create(ctx, kindPool, poolTypes[In, Out](), o, func(b []byte) ([]byte, error) {
		v, err := encode(0, nil, &po2)
		return appendBytes(appendString(b, t.name), v.data), err
	})
	if err != nil {
		return nil, err
	}
	return &Pool[In, Out]{r: r}, nil
}

func (p *Pool[In, Out]) reference() *ref { return p.r }

// With returns the same pool with other options for its calls. Progress cannot be sent.
func (p *Pool[In, Out]) With(o *pool.CallOptions) *Pool[In, Out] {
	q := &Pool[In, Out]{r: p.r}
	if o != nil {
		q.call, q.window = callOptions{o.Chunk, o.Retries, o.Timeout}, o.Window
		switch {
		case o.Progress != nil:
			q.bad = refuse(ErrValue, "CallOptions.Progress of a pool in a server: functions cannot be sent")
		case o.Window < 0:
			q.bad, q.window = refuse(ErrValue, "negative CallOptions: Window %d", o.Window), 0
		}
	}
	return q
}

func (p *Pool[In, Out]) begin(what op) (*request, error) {
	if p.bad != nil {
		return nil, p.bad
	}
	q, err := p.r.request(what)
	if err != nil {
		return nil, err
	}
	q.b = appendInt(appendInt(appendInt(q.b, p.call.Chunk), p.call.Retries), int(p.call.Timeout))
	return q, nil
}

// Apply has one of the workers run the function on in and returns what it returned. When ctx ends the task's context does, and Apply returns at once.
func (p *Pool[In, Out]) Apply(ctx context.Context, in In) (out Out, err error) {
	q, err := p.begin(opApply)
	if err != nil {
		return out, err
	}
	defer q.release()
	if err := putBare(p.r, q, &in); err != nil {
		return out, fmt.Errorf("the argument of a task: %w", err)
	}
	r, err := p.r.do(ctx, q)
	if err != nil {
		return out, err
	}
	if err := r.poolError(); err != nil {
		return out, err
	}
	return out, get(&r, &out)
}

// Map has the workers run the function on each element and returns the results in order. All are run, whatever becomes of the others; if any failed the error is a
// *pool.MapError that lists them, and their results are zero.
func (p *Pool[In, Out]) Map(ctx context.Context, in []In) ([]Out, error) {
	q, err := p.begin(opMap)
	if err != nil {
		return nil, err
	}
	defer q.release()
	q.b = appendUint(q.b, len(in))
	for i := range in {
		if err := putBare(p.r, q, &in[i]); err != nil {
			return nil, fmt.Errorf("the argument of task %d: %w", i, err)
		}
	}
	r, err := p.r.do(ctx, q)
	if err != nil {
		return nil, err
	}
	failed := r.poolError()
	n := r.uint()
	if n > uint64(len(r.b)) {
		return nil, refuse(ErrProtocol, "%d results in %d bytes", n, len(r.b))
	}
	out := make([]Out, n)
	for i := range out {
		if err := get(&r, &out[i]); err != nil {
			return nil, err
		}
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return out, failed
}

// ClosePool ends the intake: later calls return ErrClosed; what was begun is finished, and then the workers leave.
func (p *Pool[In, Out]) ClosePool(ctx context.Context) error { return p.r.simple(ctx, opDone) }

// Terminate ends the workers at once. Tasks that have not ended get pool.ErrTerminated. It returns when the workers are gone.
func (p *Pool[In, Out]) Terminate(ctx context.Context) error { return p.r.simple(ctx, opAbort) }

// Join waits until a pool that takes no more has done all its work and its workers have left.
func (p *Pool[In, Out]) Join(ctx context.Context) error { return p.r.simple(ctx, opJoin) }

// Stats says what the pool has done so far.
func (p *Pool[In, Out]) Stats(ctx context.Context) (st pool.Stats, err error) {
	q, err := p.r.request(opState)
	if err != nil {
		return st, err
	}
	defer q.release()
	r, err := p.r.do(ctx, q)
	if err != nil {
		return st, err
	}
	return st, get(&r, &st)
}

// Close lets the pool go. It is terminated when nobody refers to it. A second Close does nothing.
func (p *Pool[In, Out]) Close() error { return p.r.close() }

// MarshalBinary returns the pool's handle, for another process. It asks the server to keep the pool until the handle is opened.
func (p *Pool[In, Out]) MarshalBinary() ([]byte, error) { return p.r.marshal() }

// UnmarshalBinary opens the pool whose handle b is.
func (p *Pool[In, Out]) UnmarshalBinary(b []byte) (err error) {
	p.r, err = unmarshal(b, kindPool, poolTypes[In, Out]())
	return err
}
