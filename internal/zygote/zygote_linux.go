package zygote

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/fb2d3dbd/multiproc/internal/child"
	"github.com/fb2d3dbd/multiproc/internal/codec"
	"github.com/fb2d3dbd/multiproc/internal/fork"
	"github.com/fb2d3dbd/multiproc/internal/life"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

const (
	serviceName = "forkserver"
	zygoteMark  = "MULTIPROC_ZYGOTE"
)

func init() {
	child.Service(serviceName, serve)
	if os.Getenv(zygoteMark) != "" {
		// The zygote freezes on the process's first thread, where init functions run: the main goroutine stays there.
		runtime.LockOSThread()
	}
}

// A setup is what the zygote is told.
type setup struct {
	Limit     time.Duration
	HugePages bool
}

// news is what the zygote says of itself before it is frozen. From then on its messages are those of package fork, which begin otherwise.
type news struct {
	State state
	Name  string // of the preload function
	Text  string
	Stack string
}

type state int

const (
	loading state = iota + 1 // Name is about to run
	loaded                   // requests are welcome
	failed                   // it could not be made: Text, and the process ends
)

const (
	newsMark = "fkNW"
	newsSize = 64 << 10
)

func (n *news) encode() []byte {
	n.Text, n.Stack = n.Text[:min(len(n.Text), newsSize/4)], n.Stack[:min(len(n.Stack), newsSize/4)]
	b, err := codec.Append([]byte(newsMark), n, nil)
	if err != nil {
		panic(err) // it is four plain fields
	}
	return b
}

// serve is what the zygote does. It returns the exit code's error in the zygote alone; in its copies it does not return.
func serve(arg []byte, socket int) error {
	os.Unsetenv(zygoteMark)
	os.Unsetenv("GOMAXPROCS")
	syscall.CloseOnExec(socket)
	var s setup
	if err := codec.Decode(arg, &s); err != nil {
		return err
	}
	for _, p := range preloads {
		tell(socket, &news{State: loading, Name: p.name})
		if err := p.run(s.Limit); err != nil {
			tell(socket, &news{State: failed, Name: err.Name, Text: err.Text, Stack: err.Stack})
			return err
		}
	}
	settled()
	tell(socket, &news{State: loaded})
	child.DeclareBackground()
	life.Gate.Lock()
	r, err := fork.Freeze(fork.FreezeOptions{
		Socket: socket, MaxFDs: fork.MaxRequestFDs, HugePages: s.HugePages, Procs: -1,
	})
	life.Gate.Unlock()
	if err != nil {
		n := &news{State: failed, Text: err.Error()}
		var busy *fork.BusyError
		if errors.As(err, &busy) {
			n.Text = fmt.Sprintf("a preload function has left goroutines running, which every copy would continue: %v", err)
		}
		tell(socket, n)
		return err
	}
	runtime.UnlockOSThread()
	os.Exit(child.Arrive(r.FDs))
	return nil
}

// settled returns when goroutines that were about to end have ended, or after a moment.
func settled() {
	for i := 0; i < 100 && runtime.NumGoroutine() > 1; i++ {
		time.Sleep(time.Millisecond)
	}
}

func tell(socket int, n *news) {
	// If nobody is there any more, Freeze finds out.
	_, _ = sys.SendMessage(socket, [][]byte{n.encode()}, nil)
}
