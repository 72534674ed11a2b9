package spawn

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"

	"github.com/fb2d3dbd/multiproc/internal/child"
	"github.com/fb2d3dbd/multiproc/internal/sys"
	"github.com/fb2d3dbd/multiproc/shm"
)

// Init makes this program able to start processes. It is the first statement of main, and of TestMain in tests. In a
// child it runs the target and does not return; elsewhere it returns at once.
func Init() {
	child.Seal()
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
	os.Exit(runChild())
}

// self is what this process knows of itself when it is a child.
var self struct {
	orders  *child.Orders
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

// runChild carries out the orders in the mailbox and returns the exit code.
func runChild() int {
	mailbox := os.NewFile(mailboxFD, "mailbox")
	orders, err := child.TakeOrders(mailbox)
	if err != nil {
		fmt.Fprintf(os.Stderr, "multiproc: %s is set, but descriptor %d holds no orders: %v\n", envMark, mailboxFD, err)
		return 2
	}
	self.orders, self.mailbox = orders, mailbox
	if err := sys.SetCloexec(mailboxFD); err != nil {
		return report(mailbox, &child.Report{Text: err.Error()})
	}
	// What the runtime prints when it dies of a panic in any goroutine, or of a fatal error, reaches the parent too.
	if child.SeekCrash(mailbox) == nil {
		_ = debug.SetCrashOutput(mailbox, debug.CrashOptions{})
	}
	if err := attach(orders); err != nil {
		return report(mailbox, &child.Report{Text: err.Error()})
	}
	run, err := child.Find(orders.Target)
	if err != nil {
		return report(mailbox, &child.Report{Text: err.Error()})
	}
	goexit := func() { // the goroutine is at its end: nobody is there to return to
		os.Exit(report(mailbox, &child.Report{Text: "the target called runtime.Goexit"}))
	}
	if r := call(run, orders.Arg, goexit); r != nil {
		return report(mailbox, r)
	}
	return 0
}

// markReady tells the parent that this child has its argument.
func markReady() {
	if self.mailbox != nil {
		_ = child.MarkReady(self.mailbox) // the parent waits a little longer for nothing otherwise
	}
}

func report(mailbox *os.File, r *child.Report) int {
	if err := child.WriteReport(mailbox, r); err != nil {
		fmt.Fprintf(os.Stderr, "multiproc: %s\n", r.Text)
	}
	return 1
}

// attach joins the segments that the parent passed.
func attach(o *child.Orders) error {
	for i := range o.Segments {
		fd := mailboxFD + 1 + i
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
func call(run child.Run, arg []byte, goexit func()) (r *child.Report) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt kills
	ended := false
	defer func() {
		if v := recover(); v != nil {
			r = &child.Report{Panic: true, Text: fmt.Sprintf("panic: %v", v), Stack: string(debug.Stack())}
		} else if !ended {
			goexit()
		}
	}()
	err := run(ctx, arg)
	ended = true
	if err != nil {
		return &child.Report{Text: err.Error()}
	}
	return nil
}
