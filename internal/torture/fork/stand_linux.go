//go:build amd64 && !race

package fork

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A stand is what a process has before it is copied.
type stand struct {
	tree   map[int]*node
	want   int
	parked chan byte // what the goroutine has read that was parked before the fork
	r, w   *os.File
	usr2   chan os.Signal
	rounds [holders]atomic.Int64
	spoilt atomic.Int64
	mu     sync.Mutex
	count  int
}

type node struct {
	next  *node
	value int
	pad   []byte
}

const holders = 2

func newStand() *stand {
	s := &stand{tree: map[int]*node{}, parked: make(chan byte, 64), usr2: make(chan os.Signal, 8)}
	var last *node
	for i := range 4000 {
		last = &node{next: last, value: i, pad: make([]byte, i%200)}
		s.tree[i] = last
	}
	s.want = s.sum()
	var err error
	if s.r, s.w, err = os.Pipe(); err != nil {
		panic(err)
	}
	go s.park()
	signal.Notify(s.usr2, syscall.SIGUSR2)
	profile()
	return s
}

func (s *stand) sum() (n int) {
	for k, v := range s.tree {
		n += k*7 + len(v.pad)
		for d := 0; v != nil && d < 4; d++ {
			n += v.value
			v = v.next
		}
	}
	return n
}

// park reads in the poller. The pipe is one for the parent and all children, so a byte may come to anyone.
func (s *stand) park() {
	var b [1]byte
	for {
		if _, err := s.r.Read(b[:]); err != nil {
			return
		}
		select {
		case s.parked <- b[0]:
		default:
		}
	}
}

// profile leaves behind what a CPU profile does: threads whose timer is gone only when they next run something.
func profile() {
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		panic(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for end := time.Now().Add(2 * time.Millisecond); time.Now().Before(end); {
			}
		})
	}
	wg.Wait()
	pprof.StopCPUProfile()
}

// bustle starts goroutines that do all the time what may be in the way of a fork. It returns when they have begun.
func (s *stand) bustle() (stop func()) {
	var over atomic.Bool
	var wg sync.WaitGroup
	loop := func(f func()) {
		wg.Go(func() {
			for !over.Load() {
				f()
			}
		})
	}
	for i := range holders {
		loop(func() { s.hold(i) })
	}
	var sink atomic.Pointer[[]byte]
	loop(func() { // allocates, and so collects
		b := make([]byte, 1<<14)
		sink.Store(&b)
		time.Sleep(30 * time.Microsecond)
	})
	loop(func() { // threads that begin and end
		done := make(chan bool)
		go func() { runtime.LockOSThread(); close(done) }()
		<-done
		time.Sleep(300 * time.Microsecond)
	})
	loop(func() { time.Sleep(50 * time.Microsecond) })
	loop(func() { // a lock that is held most of the time
		s.mu.Lock()
		s.count++
		time.Sleep(20 * time.Microsecond)
		s.mu.Unlock()
	})
	ping, pong := make(chan int), make(chan int)
	go func() {
		for n := range ping {
			pong <- n
		}
	}()
	loop(func() {
		ping <- 1
		<-pong
		time.Sleep(10 * time.Microsecond)
	})
	a, b := tcpPair()
	go io.Copy(b, b) // in a child, it and its parent read from the same connection, so nobody counts on an answer there
	loop(func() {
		a.SetDeadline(time.Now().Add(5 * time.Millisecond))
		a.Write([]byte("x"))
		a.Read(make([]byte, 16))
	})
	loop(func() { syscall.Select(0, nil, nil, nil, &syscall.Timeval{Usec: 200}) }) // in a call that blocks its thread
	loop(func() { runtime.GC(); time.Sleep(20 * time.Millisecond) })
	for i := range holders {
		for s.rounds[i].Load() == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	return func() { over.Store(true); a.Close(); b.Close(); close(ping); wg.Wait() }
}

// hold holds values in the vector registers for a while.
func (s *stand) hold(i int) {
	var in, out [512]byte
	for k := range in {
		in[k] = byte(k*(2*i+3) + int(s.rounds[i].Load()))
	}
	avx := hasAVX()
	hold(&in, &out, 1000, avx)
	for k := range out {
		if out[k] != in[k] && (avx || k < 256 && k%32 < 16) {
			s.spoilt.Add(1)
			break
		}
	}
	s.rounds[i].Add(1)
	if i > 0 || runtime.GOMAXPROCS(0) == 1 { // all but one leave the processors to others now and then
		time.Sleep(100 * time.Microsecond)
	}
}

func tcpPair() (a, b net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err == nil {
		b, err = l.Accept()
	}
	if err != nil {
		panic(err)
	}
	return a, b
}

// run runs a case in a child and returns its exit code.
func (s *stand) run(i int) int {
	err := cases[i].run(s)
	if err == nil && s.sum() != s.want {
		err = fmt.Errorf("memory differs")
	}
	if err != nil {
		syscall.Write(2, fmt.Appendf(nil, "case %s: %v\n", cases[i].name, err))
		return 1
	}
	return 0
}
