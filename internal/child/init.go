package child

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/cargo"
	"github.com/fb2d3dbd/multiproc/internal/sys"
	"github.com/fb2d3dbd/multiproc/shm"
)

// Init makes this program able to start processes. It is the first statement of main, and of TestMain in tests. In a
// child it runs the target and does not return; elsewhere it returns at once.
func Init() {
	Seal()
	mark := os.Getenv(envMark)
	if mark == "" {
		initialized.Store(true)
		return
	}
	os.Unsetenv(envMark) // a program that the child starts in its turn is no child of ours
	initialized.Store(true)
	if mark != envValue {
		fmt.Fprintf(os.Stderr, "multiproc: %s=%q, this program speaks %q: parent and child must be built with the same version\n", envMark, mark, envValue)
		os.Exit(2)
	}
	os.Exit(run(mailboxFD))
}

// self is what this process knows of itself when it is a child.
var self struct {
	orders  *Orders
	mailbox *os.File
}

// Name returns the name that this process was started under, or "" if it is no child.
func Name() string {
	if self.orders == nil {
		return ""
	}
	return self.orders.Name
}

// ParentPID returns the number of the process that started this one as a child, or 0 if it is none.
func ParentPID() int {
	if self.orders == nil {
		return 0
	}
	return self.orders.ParentPID
}

// run carries out the orders in the mailbox behind the descriptor, which those of the segments follow, and returns the exit code.
func run(fd int) int {
	mailbox := os.NewFile(uintptr(fd), "mailbox")
	orders, err := TakeOrders(mailbox)
	if err != nil {
		fmt.Fprintf(os.Stderr, "multiproc: %s is set, but descriptor %d holds no orders: %v\n", envMark, fd, err)
		return 2
	}
	if err := sys.SetCloexec(fd); err != nil {
		return report(mailbox, &Report{Text: err.Error()})
	}
	next := fd + 1
	segs := make([]int, orders.Segments)
	for i := range segs {
		segs[i] = next
		next++
	}
	become(orders, mailbox)
	return carry(orders, mailbox, segs, next)
}

// carry carries out orders that were taken from the mailbox and returns the exit code. It takes the descriptors of the segments over. What was
// sent behind them begins at the descriptor extra.
func carry(orders *Orders, mailbox *os.File, segs []int, extra int) int {
	if err := attach(orders, segs); err != nil {
		return report(mailbox, &Report{Text: err.Error()})
	}
	if service := findService(orders.Target); service != nil {
		if err := service(orders.Arg, extra); err != nil {
			return report(mailbox, &Report{Text: err.Error(), Stack: stackOf(err)})
		}
		return 0
	}
	run, err := Find(orders.Target)
	if err != nil {
		return report(mailbox, &Report{Text: err.Error()})
	}
	return finish(mailbox, func(ctx context.Context) error { return run(ctx, orders.Arg) })
}

// become makes this process the child that the orders are for.
func become(orders *Orders, mailbox *os.File) {
	inherited := self.mailbox
	defer func() {
		if inherited != nil {
			inherited.Close() // of the process that this one was forked from
		}
	}()
	self.orders, self.mailbox = orders, mailbox
	if orders.Method != "" {
		SetMethod(orders.Method)
	}
	// What the runtime prints when it dies of a panic in any goroutine, or of a fatal error, reaches the parent too.
	if SeekCrash(mailbox) == nil {
		_ = debug.SetCrashOutput(mailbox, debug.CrashOptions{})
	}
}

// finish runs the target, leaves its report in the mailbox and returns the exit code.
func finish(mailbox *os.File, run func(ctx context.Context) error) int {
	goexit := func() { // the goroutine is at its end: nobody is there to return to
		exit(report(mailbox, &Report{Text: "the target called runtime.Goexit"}))
	}
	if r := call(run, goexit); r != nil {
		return report(mailbox, r)
	}
	return 0
}

// exit ends this process; in the child of a fork without what the parent's main function has arranged for its own end.
var exit = os.Exit

// markReady tells the parent that this child has its argument.
func markReady() {
	if self.mailbox != nil {
		_ = MarkReady(self.mailbox) // the parent waits a little longer for nothing otherwise
	}
}

func report(mailbox *os.File, r *Report) int {
	if err := WriteReport(mailbox, r); err != nil {
		fmt.Fprintf(os.Stderr, "multiproc: %s\n", r.Text)
	}
	return 1
}

// arrived are the open files and sockets in the argument of this process's target, until it is decoded.
var arrived atomic.Pointer[cargo.In]

// attach joins the segments that the parent passed, and keeps the files behind them for the argument.
func attach(o *Orders, fds []int) error {
	if o.Files < 0 || o.Files > len(fds) {
		return fmt.Errorf("%d files of %d descriptors", o.Files, len(fds))
	}
	files := fds[len(fds)-o.Files:]
	for _, fd := range files {
		if err := sys.SetCloexec(fd); err != nil {
			return err
		}
	}
	arrived.Store(cargo.NewIn(files))
	for _, fd := range fds[:len(fds)-o.Files] {
		s, err := shm.Attach(fd)
		if err != nil {
			return err
		}
		if err := sys.CloseFD(fd); err != nil {
			return err
		}
		if s.ID() == o.Default {
			shm.SetDefault(s)
		}
	}
	return nil
}

// call runs the target; it returns nil if it ended well. It calls goexit when the target has called runtime.Goexit, as
// testing.T's FailNow does.
func call(run func(ctx context.Context) error, goexit func()) (r *Report) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt kills
	ended := false
	defer func() {
		if v := recover(); v != nil {
			r = &Report{Panic: true, Text: fmt.Sprintf("panic: %v", v), Stack: string(debug.Stack())}
		} else if !ended {
			goexit()
		}
	}()
	err := run(ctx)
	ended = true
	if err != nil {
		return &Report{Text: err.Error(), Stack: stackOf(err)}
	}
	return nil
}

// stackOf returns the stack that an error carries, or "".
func stackOf(err error) string {
	if s, ok := err.(interface{ StackText() string }); ok {
		return s.StackText()
	}
	return ""
}
