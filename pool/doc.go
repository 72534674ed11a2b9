// Package pool runs a function on many things in processes of its own, and cannot hang: a worker may be killed at any instruction.
//
// A function becomes a [Func] in a package-level variable, and a pool of workers runs it:
//
//	var square = pool.NewFunc("square", func(ctx context.Context, n int) (int, error) { return n * n, nil })
//
//	func main() {
//		multiproc.Init()
//		ctx := context.Background()
//		p, err := pool.New(square, nil)
//		...
//		squares, err := p.Map(ctx, []int{1, 2, 3})
//		err = errors.Join(p.Close(), p.Join(ctx))
//	}
//
// When a worker dies, the task in its hands, and no other, gets a [WorkerDiedError], or is begun again as often as the call asked for
// ([CallOptions].Retries). Every other task is run exactly once, and another worker takes the place. A function that returns an error, panics, or returns what cannot be sent
// fails its own task. [NewFuncInit] gives each worker a state of its own.
//
// A call's context is its tasks' too: when it ends, tasks that have not begun never do, the contexts of those that run end, and a worker that has not
// come back after Options.Grace is ended and replaced. So when a call has returned, none of its tasks is running any more.
//
// Workers are children of this process and die with it, however it ends, and so do the pools that they make themselves: any process may have a pool, a worker too. An interrupt
// typed at a terminal is not passed to tasks; the program that gets it ends its calls' contexts, or the pool.
package pool
