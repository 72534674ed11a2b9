package manager

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/pool"
)

// poolMaker makes pools of one function.
type poolMaker struct {
	types string
	make  func(o *pool.Options) (rawPool, error)
}

var pools = newNamed[poolMaker]("types of pools")

// rawPool is a pool of encoded values.
type rawPool interface {
	apply(ctx context.Context, o *pool.CallOptions, in []byte) (func(b []byte) []byte, error)
	mapAll(ctx context.Context, o *pool.CallOptions, in [][]byte) (func(b []byte) []byte, error)
	Close() error
	Terminate() error
	Join(ctx context.Context) error
	Stats() pool.Stats
}

// poolEntity is a Pool.
type poolEntity struct {
	s    *Server
	p    rawPool
	once sync.Once
}

func init() {
	slow[kindPool] = true
	makers[kindPool] = func(_ context.Context, s *Server, typ string, r *reader) (entity, error) {
		name, data := r.string(), r.bytes()
		if err := r.err(); err != nil {
			return nil, err
		}
		var o poolOptions
		if err := decode(data, &o); err != nil {
			return nil, err
		}
		pm, ok := pools.find(name)
		if !ok {
			return nil, refuse(ErrUnknown, "pools of the function %q; register it with NewPoolType in a package-level variable of the server's program, which has %s", name, pools.names())
		}
		if pm.types != typ {
			return nil, refuse(ErrValue, "the function %q of pools is one of [%s], not of [%s]", name, pm.types, typ)
		}
		p, err := pm.make(&pool.Options{
			Workers: o.Workers, TasksPerWorker: o.TasksPerWorker, MemoryLimit: o.MemoryLimit, Grace: o.Grace, StartFailures: o.StartFailures, Backlog: o.Backlog, Bytes: o.Bytes,
			Process: multiproc.ProcessOptions{Name: o.Name, Dir: o.Dir, Executable: o.Executable, Env: o.Env, Method: o.Method},
			Logger:  s.o.Logger,
		})
		if err != nil {
			return nil, fmt.Errorf("in the server: %w", err)
		}
		return &poolEntity{s: s, p: p}, nil
	}
}

func (e *poolEntity) drop() []uint64 {
	e.once.Do(func() { e.s.closing("a pool", e.p.Terminate) })
	return nil
}

func (e *poolEntity) do(c *call, r *reader, b []byte) ([]byte, error) {
	switch c.op {
	case opDone:
		if err := r.err(); err != nil {
			return nil, err
		}
		return b, e.p.Close()
	case opState:
		st := e.p.Stats()
		v, err := encode(0, nil, &st)
		return v.append(b), err
	case opJoin:
		return nil, e.wait(c, r, e.p.Join)
	case opAbort:
		return nil, e.wait(c, r, func(context.Context) error { return e.p.Terminate() })
	case opApply, opMap:
	default:
		return nil, refuse(ErrProtocol, "operation %d of a %v", c.op, c.obj.kind)
	}
	o := &pool.CallOptions{Chunk: r.int(), Retries: r.int(), Timeout: time.Duration(r.int())}
	n := uint64(1)
	if c.op == opMap {
		n = r.uint()
	}
	if n > uint64(len(r.b)) {
		return nil, refuse(ErrProtocol, "%d arguments in %d bytes", n, len(r.b))
	}
	in := make([][]byte, n)
	for i := range in {
		in[i] = append([]byte(nil), r.bytes()...)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return nil, c.run(func(ctx context.Context) (func([]byte) []byte, error) {
		if c.op == opMap {
			return e.p.mapAll(ctx, o, in)
		}
		return e.p.apply(ctx, o, in[0])
	})
}

func (e *poolEntity) wait(c *call, r *reader, fn func(ctx context.Context) error) error {
	if err := r.err(); err != nil {
		return err
	}
	return c.run(func(ctx context.Context) (func([]byte) []byte, error) { return nil, fn(ctx) })
}

// typedPool is a pool whose values are decoded and encoded.
type typedPool[In, Out any] struct{ *pool.Pool[In, Out] }

func (p *typedPool[In, Out]) apply(ctx context.Context, o *pool.CallOptions, raw []byte) (func([]byte) []byte, error) {
	var in In
	if err := decode(raw, &in); err != nil {
		return nil, fmt.Errorf("the argument of a task: %w", err)
	}
	out, err := p.With(o).Apply(ctx, in)
	failed, err := appendPoolError(nil, err)
	if err != nil {
		return nil, err
	}
	v, err := encode(0, nil, &out)
	if err != nil {
		return nil, fmt.Errorf("the result of a task: %w", err)
	}
	return func(b []byte) []byte { return v.append(append(b, failed...)) }, nil
}

func (p *typedPool[In, Out]) mapAll(ctx context.Context, o *pool.CallOptions, raw [][]byte) (func([]byte) []byte, error) {
	in := make([]In, len(raw))
	for i, b := range raw {
		if err := decode(b, &in[i]); err != nil {
			return nil, fmt.Errorf("the argument of task %d: %w", i, err)
		}
	}
	out, err := p.With(o).Map(ctx, in)
	all, err := appendPoolError(nil, err)
	if err != nil {
		return nil, err
	}
	all = appendUint(all, len(out))
	for i := range out {
		v, err := encode(0, nil, &out[i])
		if err != nil {
			return nil, fmt.Errorf("the result of task %d: %w", i, err)
		}
		all = v.append(all)
	}
	return func(b []byte) []byte { return append(b, all...) }, nil
}
