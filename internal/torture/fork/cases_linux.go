//go:build amd64 && !race

package fork

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	primitive "github.com/fb2d3dbd/multiproc/internal/fork"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

type kase struct {
	name string
	run  func(s *stand) error
}

// cases are what a child does; each returns what was wrong.
var cases []kase

func init() {
	cases = []kase{
		{"gc", gc}, {"preemption", preemption}, {"timers", timers}, {"poller", poller}, {"parked", parked}, {"tcp", tcp}, {"unix", unix},
		{"exec", execute}, {"signals", signals}, {"all-threads", allThreads}, {"procs", maxProcs}, {"nested", nested}, {"threads", threads},
		{"profile", profiler}, {"vectors", vectors}, {"locks", locks}, {"cleanup", cleanup}, {"memory", memory}, {"stacks", stacks},
	}
}

func gc(s *stand) error {
	debug.SetGCPercent(20)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			m := map[int][]byte{}
			for i := range 2000 {
				m[i%100] = make([]byte, i%1000)
			}
		})
	}
	wg.Wait()
	for range 3 {
		runtime.GC()
	}
	return nil
}

// preemption: the collector must stop a loop without calls.
func preemption(s *stand) error {
	var stop atomic.Bool
	defer stop.Store(true)
	go func() {
		for !stop.Load() {
		}
	}()
	time.Sleep(100 * time.Microsecond)
	runtime.GC()
	return nil
}

func timers(s *stand) error {
	begin := time.Now()
	fired := make(chan bool, 1)
	time.AfterFunc(time.Millisecond, func() { fired <- true })
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	<-tick.C
	<-tick.C
	<-fired
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	<-ctx.Done()
	time.Sleep(time.Millisecond)
	if d := time.Since(begin); d < 3*time.Millisecond {
		return fmt.Errorf("four times a millisecond took %v", d)
	}
	return nil
}

func poller(s *stand) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	if err := r.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return err
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("a read with a deadline: %v", err)
	}
	r.SetReadDeadline(time.Time{})
	go func() { time.Sleep(100 * time.Microsecond); w.Write([]byte("ab")) }()
	_, err = io.ReadFull(r, make([]byte, 2))
	return errors.Join(err, r.Close(), w.Close())
}

// parked: the copy of a goroutine that was parked before the fork must read. So may its original, so bytes are written until the copy has one.
func parked(s *stand) error {
	for len(s.parked) > 0 {
		<-s.parked
	}
	for {
		if _, err := s.w.Write([]byte{1}); err != nil {
			return err
		}
		select {
		case <-s.parked:
			return nil
		case <-time.After(200 * time.Microsecond):
		}
	}
}

func echo(l net.Listener, err error) error {
	if err != nil {
		return err
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		wg.Go(func() {
			c, err := net.Dial(l.Addr().Network(), l.Addr().String())
			if err != nil {
				errs[i] = err
				return
			}
			defer c.Close()
			text := bytes.Repeat([]byte{byte(i), 7}, 20000)
			go c.Write(text)
			got := make([]byte, len(text))
			if _, errs[i] = io.ReadFull(c, got); errs[i] == nil && !bytes.Equal(got, text) {
				errs[i] = errors.New("the echo differs")
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func tcp(s *stand) error { return echo(net.Listen("tcp", "127.0.0.1:0")) }

func unix(s *stand) error {
	dir, err := os.MkdirTemp("", "multiproc-fork-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return echo(net.Listen("unix", filepath.Join(dir, "s")))
}

// execute runs a program: this one, which is told to do nothing.
func execute(s *stand) error {
	cmd := exec.Command(sys.SelfExe)
	cmd.Env = append(os.Environ(), workerVariable+"={}")
	out, err := cmd.Output()
	if err == nil && !bytes.Contains(out, []byte(`"fork`)) && !bytes.Contains(out, []byte(`"forks":0`)) {
		err = fmt.Errorf("it printed %q", out)
	}
	return err
}

func signals(s *stand) error {
	usr1 := make(chan os.Signal, 1)
	signal.Notify(usr1, syscall.SIGUSR1)
	for _, c := range []struct {
		sig syscall.Signal
		ch  chan os.Signal // of before the fork, and of now
	}{{syscall.SIGUSR2, s.usr2}, {syscall.SIGUSR1, usr1}, {syscall.SIGUSR2, s.usr2}} {
		if err := syscall.Kill(os.Getpid(), c.sig); err != nil {
			return err
		}
		if got := <-c.ch; got != c.sig {
			return fmt.Errorf("signal %v instead of %v", got, c.sig)
		}
	}
	return nil
}

func allThreads(s *stand) error {
	const prGetKeepcaps = 7
	if _, _, e := syscall.AllThreadsSyscall(syscall.SYS_PRCTL, prGetKeepcaps, 0, 0); e != 0 {
		return e
	}
	return nil
}

func maxProcs(s *stand) error {
	for _, n := range []int{5, 1, 3} {
		runtime.GOMAXPROCS(n)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for range 50 {
					runtime.Gosched()
				}
			})
		}
		wg.Wait()
	}
	return nil
}

// nested: a child, and a child of it, with their runtimes.
func nested(s *stand) error {
	return s.descend(2)
}

func (s *stand) descend(depth int) error {
	runtime.GC()
	if depth == 0 {
		return errors.Join(timers(s), poller(s))
	}
	pid, pidfd, err := primitive.Fork(primitive.Options{Forkall: true}, func() int {
		if err := s.descend(depth - 1); err != nil {
			syscall.Write(2, fmt.Appendln(nil, err))
			return 1
		}
		return 0
	})
	if err != nil {
		return err
	}
	ws, err := wait(pid, pidfd, time.Minute)
	if err != nil || ws != 0 {
		return fmt.Errorf("generation %d: status %#x, %v", depth, int(ws), err)
	}
	return nil
}

// threads: new ones are needed while others block, and some end.
func threads(s *stand) error {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if i%2 == 0 {
				runtime.LockOSThread() // and the thread ends with the goroutine
			}
			syscall.Select(0, nil, nil, nil, &syscall.Timeval{Usec: 500})
		})
	}
	wg.Wait()
	return nil
}

// profiler: what is left of the parent's profile is in nobody's way.
func profiler(s *stand) error {
	profile()
	var b bytes.Buffer
	return pprof.Lookup("goroutine").WriteTo(&b, 1)
}

// vectors: those whose registers were full at the fork find them so.
func vectors(s *stand) error {
	if s.rounds[0].Load() == 0 { // nobody holds any in this process
		for i := range holders {
			s.hold(i)
		}
	}
	for i := range holders {
		for begin := s.rounds[i].Load(); s.rounds[i].Load() < begin+2 && s.rounds[0].Load() > 1; {
			time.Sleep(50 * time.Microsecond)
		}
	}
	if n := s.spoilt.Load(); n != 0 {
		return fmt.Errorf("vector registers changed %d times", n)
	}
	return nil
}

// locks: a lock that somebody had at the fork is given back by his copy.
func locks(s *stand) error {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				s.mu.Lock()
				s.count++
				s.mu.Unlock()
			}
		})
	}
	wg.Wait()
	return nil
}

func cleanup(s *stand) error {
	done := make(chan bool, 1)
	func() {
		p := &node{pad: make([]byte, 100)}
		runtime.AddCleanup(p, func(c chan bool) { c <- true }, done)
	}()
	for {
		runtime.GC()
		select {
		case <-done:
			return nil
		case <-time.After(time.Millisecond):
		}
	}
}

// memory: what is changed here is changed nowhere else, which the parent sees for itself.
func memory(s *stand) error {
	for k, v := range s.tree {
		v.value, v.pad = -k, nil
		delete(s.tree, k)
	}
	runtime.GC()
	s.want = 0
	return nil
}

// stacks grow, and are printed.
func stacks(s *stand) error {
	var grow func(n int) int
	grow = func(n int) int {
		var pad [256]byte
		pad[n%256] = byte(n)
		if n == 0 {
			return 0
		}
		return grow(n-1) + int(pad[n%256]) - n%256
	}
	if grow(2000) != 0 {
		return errors.New("a deep call returned nonsense")
	}
	if len(debug.Stack()) == 0 || runtime.NumGoroutine() == 0 {
		return errors.New("no stacks")
	}
	return nil
}
