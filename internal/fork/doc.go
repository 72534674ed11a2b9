// Package fork makes a copy of this process in which the Go runtime works whole: garbage collector, scheduler, timers, poller,
// signals, os/exec and forks of its own. It needs no cgo, on linux/amd64; elsewhere everything returns an error that matches
// errors.ErrUnsupported.
//
// fork(2) copies one thread, and a runtime whose other threads are gone is dead at its first garbage collection. So the copy is
// made while all threads stand still in a signal handler, and in the child each of them is made again: a new thread whose
// first instruction is the return from that handler, with the registers, the stack and the signal mask of the one
// that it continues. docs/design/fork.md has the steps, the facts that it depends on, and what each failure leaves.
//
//   - [Fork] copies a running process.
//   - [Freeze] turns a process that has prepared something into a zygote: its threads are stopped once and for all, and
//     from then on it forks as fast as a C program does, each time somebody asks for it on a socket.
//
// # What the child has
//
// All goroutines continue, in both. It cannot be otherwise: a goroutine that stopped existing would take the locks that it
// holds with it. That is why both refuse by default unless the caller is the only goroutine of the program ([BusyError]), but for
// those that were declared with [AllowGoroutine].
//
// Memory is copied on write, mappings that are shared stay shared. Descriptors are copied and share their offsets; the poller of
// the child is its own. Timers continue in both. A descriptor of a process, or an os.Process, of a child of the parent cannot
// be waited for in the child (ECHILD). CPU affinity, scheduling, name, capabilities, namespaces and landlock domain
// of all the child's threads are those of the thread that forked. CPU profiling must be off. Signals that were pending
// are pending in the parent only.
//
// The generators behind the top-level functions of math/rand and math/rand/v2, maps and select are seeded anew in the threads that
// exist at the fork. It cannot be done for what seeds threads that are made later, so children of one zygote may draw the same
// numbers from math/rand in those; nor for rand.Rand values, hash seeds, and whatever else a program has drawn before. Who needs numbers that
// differ seeds with crypto/rand, which is never repeated.
package fork
