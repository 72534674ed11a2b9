//go:build amd64 && !race

package fork

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	primitive "github.com/fb2d3dbd/multiproc/internal/fork"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

func init() {
	if os.Getenv(workerVariable) != "" {
		runtime.LockOSThread() // the zygote's main must be on the first thread
	}
}

func work(o orders) {
	primitive.AllowGoroutine("torture/fork.(*stand).park")
	primitive.AllowGoroutine("created by github.com/fb2d3dbd/multiproc/spawn.init")
	if o.Serve {
		serve()
	}
	if o.Kind != "zygote" {
		runtime.UnlockOSThread()
	}
	w := &worker{orders: o}
	switch o.Kind {
	case "quiet":
		w.stand = newStand()
		w.loop(func(n int) (int, int, error) { return w.fork(n, primitive.Options{}) })
	case "busy":
		w.stand = newStand()
		stop := w.stand.bustle()
		w.loop(func(n int) (int, int, error) { return w.fork(n, primitive.Options{Forkall: true}) })
		stop()
		if n := w.stand.spoilt.Load(); n != 0 {
			w.say("vector registers changed in the parent %d times", n)
			w.res.Bad++
		}
	case "zygote":
		if err := w.zygote(); err != nil {
			w.say("%v", err)
			w.res.Failed++
		}
	}
	if w.stand != nil && w.stand.sum() != w.stand.want {
		w.say("the parent's memory changed")
		w.res.Bad++
	}
	os.Stdout.Write(append(w.res.JSON(), '\n'))
}

type worker struct {
	orders
	stand *stand
	res   Result
}

func (w *worker) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", w.Kind, fmt.Sprintf(format, args...))
}

// chosen is the case of the nth fork.
func (w *worker) chosen(n int) int {
	if w.Case != "" {
		return slices.Index(Cases(), w.Case)
	}
	return n % len(cases)
}

// loop forks and waits.
func (w *worker) loop(fork func(n int) (pid, pidfd int, err error)) {
	for n := w.First; n < w.First+w.Forks; n++ {
		w.res.Forks++
		pid, pidfd, err := fork(n)
		if err != nil {
			w.say("fork %d: %v", n, err)
			w.res.Refused++
			return
		}
		switch ws, err := wait(pid, pidfd, w.Patience); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			w.say("fork %d: the child hung (%s)", n, cases[w.chosen(n)].name)
			w.res.Hung++
			return
		case err != nil:
			w.say("fork %d: %v", n, err)
			w.res.Failed++
			return
		case ws != 0:
			w.say("fork %d: the child ended with status %#x (%s)", n, int(ws), cases[w.chosen(n)].name)
			w.res.Bad++
			return
		}
		w.res.OK++
	}
}

func (w *worker) fork(n int, o primitive.Options) (pid, pidfd int, err error) {
	return primitive.Fork(o, func() int { return w.stand.run(w.chosen(n)) })
}

// wait waits for a child. One that takes too long is asked for its stacks, and killed.
func wait(pid, pidfd int, patience time.Duration) (ws syscall.WaitStatus, err error) {
	p, err := sys.AsProcess(pidfd)
	if err != nil {
		return 0, err
	}
	late := make(chan bool, 1)
	t := time.AfterFunc(patience, func() {
		late <- true
		_ = syscall.Kill(pid, syscall.SIGQUIT)
		time.Sleep(2 * time.Second)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	})
	err = p.Wait()
	p.Close()
	stopped := t.Stop()
	for {
		if _, e := syscall.Wait4(pid, &ws, 0, nil); e != syscall.EINTR {
			err = errors.Join(err, e)
			break
		}
	}
	if !stopped {
		<-late
		return ws, os.ErrDeadlineExceeded
	}
	return ws, err
}

// zygote has a zygote fork.
func (w *worker) zygote() error {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "zygote")
	text, err := json.Marshal(orders{Kind: "zygote", Serve: true})
	if err != nil {
		return err
	}
	cmd := exec.Command(sys.SelfExe)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOMAXPROCS=") && w.First%2 == 0 })
	cmd.Env = append(cmd.Env, workerVariable+"="+string(text))
	if w.First%2 == 0 {
		cmd.Env = append(cmd.Env, "GOMAXPROCS=1")
	}
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		return err
	}
	theirs.Close()
	w.loop(func(n int) (int, int, error) {
		if err := syscall.Sendmsg(pair[0], primitive.AppendRequest(nil, uint64(n), []byte{byte(w.chosen(n))}), nil, nil, 0); err != nil {
			return 0, 0, err
		}
		pid := 0
		buf := make([]byte, primitive.ReplySize+1)
		for kinds := primitive.Kind(0); kinds != primitive.Started+primitive.Ready; {
			k, err := syscall.Read(pair[0], buf)
			if err == syscall.EINTR {
				continue
			}
			r, err2 := primitive.ParseReply(buf[:max(k, 0)])
			if err := errors.Join(err, err2, r.Err()); err != nil {
				return 0, 0, err
			}
			if r.ID != uint64(n) {
				return 0, 0, fmt.Errorf("a reply to request %d", r.ID)
			}
			kinds += r.Kind
			pid = r.PID
		}
		pidfd, _, e := syscall.Syscall(pidfdOpen, uintptr(pid), 0, 0)
		if e != 0 {
			return 0, 0, e
		}
		return pid, int(pidfd), nil
	})
	syscall.Close(pair[0])
	pair[0] = -1
	return cmd.Wait() // it ends with its socket
}

const pidfdOpen = 434

func serve() {
	syscall.CloseOnExec(3)
	s := newStand()
	r, err := primitive.Freeze(primitive.FreezeOptions{Socket: 3, MaxData: 1, MaxFDs: 1, Procs: 2})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	runtime.UnlockOSThread()
	exit(s.run(int(r.Data[0])))
}

// exit ends the process at once.
func exit(code int) {
	for {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, uintptr(code), 0, 0)
	}
}
