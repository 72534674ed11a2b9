// Package multiproc is Python's multiprocessing for Go: processes that talk over shared memory, with queues, locks and
// values that survive the death of any of them.
//
// A function becomes a [Target] in a package-level variable, [Init] is the first statement of main, and Start runs the
// target in a process of its own. Handles in its argument ([Queue], [Mutex] and the other locks, [Value], [Array], and
// *shm.Segment) refer to the same objects in the child:
//
//	var square = multiproc.NewTarget("square", func(ctx context.Context, job Job) error {
//		return job.Out.Put(ctx, job.N*job.N)
//	})
//
//	type Job struct {
//		N   int
//		Out *multiproc.Queue[int]
//	}
//
//	func main() {
//		multiproc.Init()
//		ctx := context.Background()
//		out, err := multiproc.NewQueue[int](nil)
//		...
//		p, err := square.Start(ctx, Job{N: 7, Out: out}, nil)
//		n, err := out.Get(ctx)
//		err = p.Wait(ctx)
//	}
//
// Any process may be killed at any instruction: nobody else hangs, no lock stays held, no queue is corrupted, and nothing whose
// Put returned is lost.
//
// How a process comes to be is its [StartMethod]: a fresh run of the program, a copy of this process, or a copy of a server process
// that has prepared everything. The default is the first.
//
// The packages below stand alone: spawn and forkserver start processes, shm makes the memory, futex locks it, ringbuf has queues on
// any memory, conn connects to other programs. Package pool stands on this one.
package multiproc

import (
	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/internal/failure"
	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// Errors of this package. They are matched with errors.Is.
var (
	// ErrNotInitialized says that a process was started before Init was called.
	ErrNotInitialized = spawn.ErrNotInitialized
	// ErrUnknownTarget says that the child's program has no target of the name.
	ErrUnknownTarget = spawn.ErrUnknownTarget
	// ErrRunning says that a process has not ended yet.
	ErrRunning = spawn.ErrRunning
	// ErrNotChild says that a Process is of another's child: this process was forked from the one that started it.
	ErrNotChild = spawn.ErrNotChild
	// ErrClosed says that the queue, or the memory under an object, was closed; it matches os.ErrClosed.
	ErrClosed = ringbuf.ErrClosed
	// ErrFull says that a try found no room.
	ErrFull = ringbuf.ErrFull
	// ErrEmpty says that a try found no message.
	ErrEmpty = ringbuf.ErrEmpty
	// ErrTooLarge says that a message can never fit, or is longer than the receiver accepts.
	ErrTooLarge = ringbuf.ErrTooLarge
	// ErrPeerDied says that the processes that could end a wait are gone: who could put, for a Get of an empty queue, and who could take, for
	// a Put into a full one.
	ErrPeerDied = ringbuf.ErrPeerDied
	// ErrNotHeld says that a value is not, or no longer, in this process's hands.
	ErrNotHeld = ringbuf.ErrNotHeld
	// ErrLocked says that a try found the lock held.
	ErrLocked = futex.ErrLocked
	// ErrNotOwner says that this process does not hold the lock.
	ErrNotOwner = futex.ErrNotOwner
	// ErrOwnerDied comes with the lock held: its owner died while it held it.
	ErrOwnerDied = futex.ErrOwnerDied
	// ErrDamaged says to a reader that a writer died and nobody has mended what the lock guards; the lock is not held.
	ErrDamaged = futex.ErrDamaged
	// ErrBound says that a semaphore has as many permits as it can have.
	ErrBound = futex.ErrBound
	// ErrBrokenBarrier says that a barrier is broken: a party died or gave up, its action failed, or somebody called Abort or Reset.
	ErrBrokenBarrier = futex.ErrBrokenBarrier
	// ErrTooMany says that every place in an object is taken; make it with more.
	ErrTooMany = futex.ErrTooMany
	// ErrCorrupt says that what stands in shared memory, or in a message, cannot be.
	ErrCorrupt = shm.ErrCorrupt
)

// Init makes this program able to start processes. It is the first statement of main, and of TestMain in tests. In a child
// it runs the target and does not return; elsewhere it returns at once.
func Init() { spawn.Init() }

// A Process is a child that was started, by whichever method; see spawn.Process for what can be done with it.
type Process = spawn.Process

// An ExitError says how a process ended that did not end with exit code 0; see spawn.ExitError for its fields.
type ExitError = spawn.ExitError

// ActiveChildren returns the processes that this one has started and that still run.
func ActiveChildren() []*Process { return spawn.ActiveChildren() }

// ProcessName returns the name that this process was started under, or "" if it is no child.
func ProcessName() string { return spawn.ProcessName() }

// ParentPID returns the number of the process that started this one as a child, or 0 if it is none.
func ParentPID() int { return spawn.ParentPID() }

// Register makes T known for values that travel inside interfaces, such as the elements of an []any. Basic types and
// slices and maps of them need no registration. Call it at package level or in an init function.
func Register[T any]() { codec.Register[T]() }

// RegisterError makes an error known under a name, for use in a package-level variable or an init function: what a task of a pool or a method behind a manager
// returns and matches it by errors.Is there, matches it here too. Well-known errors such as context.Canceled, io.EOF and fs.ErrNotExist are known from the start. It
// panics if the name is another's.
func RegisterError(name string, err error) { failure.Register(name, err) }
