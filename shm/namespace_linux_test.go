package shm_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

// elsewhere is the first process of a pid namespace, as that of a container is. Its argument is the name of a segment, or "" for one that comes as descriptor
// 3; it takes the lock there and stays.
var elsewhere = proctest.NewProgram("shm-elsewhere", func() int {
	if err := errors.Join(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""), syscall.Mount("proc", "/proc", "proc", 0, "")); err != nil {
		fmt.Println("mount:", err)
		return 1
	}
	var s *shm.Segment
	var err error
	if name := os.Args[1]; name != "" {
		s, err = shm.Open(name)
	} else {
		s, err = shm.Attach(3)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	m, err := futex.NewMutex(s.Bytes(), s)
	if err == nil {
		err = m.TryLock()
	}
	fmt.Println("process", os.Getpid(), "has the lock:", err)
	time.Sleep(time.Hour)
	return 0
})

func startElsewhere(t *testing.T, name string, files ...*os.File) (cmd *exec.Cmd, says string) {
	t.Helper()
	cmd = elsewhere.Command(proctest.Context(t), name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	cmd.ExtraFiles = files
	out, err := cmd.StdoutPipe()
	ok(t, err)
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) {
		t.Skipf("a pid namespace of its own takes root: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	says, _ = bufio.NewReader(out).ReadString('\n')
	if strings.HasPrefix(says, "mount:") {
		t.Skip(says, cmd.Wait())
	}
	return cmd, strings.TrimSpace(says)
}

// The death of a process in another pid namespace is proven like any other: process numbers have no part in it.
func TestDeathInAnotherNamespace(t *testing.T) {
	named := func(t *testing.T) (s *shm.Segment, name string) {
		name = proctest.SegmentName(t)
		s, err := shm.Create(name, &shm.Options{Size: 64, Keep: true})
		ok(t, err)
		t.Cleanup(func() { ok(t, errors.Join(s.Close(), shm.Unlink(name))) })
		return s, name
	}
	for way, segment := range map[string]func(t *testing.T) (s *shm.Segment, name string){
		"kept":       named,
		"descriptor": func(t *testing.T) (*shm.Segment, string) { return newSegment(t, &shm.Options{Size: 64}), "" },
	} {
		t.Run(way, func(t *testing.T) {
			s, name := segment(t)
			fd, err := s.Export()
			ok(t, err)
			f := os.NewFile(uintptr(fd), "segment")
			defer f.Close()
			cmd, says := startElsewhere(t, name, f)
			if says != "process 1 has the lock: <nil>" {
				t.Fatal(errors.Join(cmd.Process.Kill(), cmd.Wait()), says)
			}
			m, err := futex.NewMutex(s.Bytes(), s)
			ok(t, err)
			wantErr(t, m.TryLock(), futex.ErrLocked)
			locked := make(chan error)
			go func() { locked <- m.Lock(proctest.Context(t)) }()
			ok(t, cmd.Process.Kill())
			wantErr(t, <-locked, futex.ErrOwnerDied)
			_ = cmd.Wait() // it was killed
			ok(t, m.Unlock())
		})
	}
}

// A name leads to the memory by way of who has it open, and that takes process numbers that both understand.
func TestNameFromAnotherNamespace(t *testing.T) {
	name := proctest.SegmentName(t)
	s, err := shm.Create(name, &shm.Options{Size: 64})
	ok(t, err)
	defer func() { ok(t, s.Close()) }()
	cmd, says := startElsewhere(t, name)
	if err := cmd.Wait(); err == nil || !strings.Contains(says, "its memory cannot be reached") {
		t.Errorf("%v: %s", err, says)
	}
}
