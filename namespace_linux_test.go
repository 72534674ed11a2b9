package multiproc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// firstProcess is the first process of a pid namespace, as a program in a container mostly is. It has a child of each start method.
var firstProcess = proctest.NewProgram("first process", func() int {
	multiproc.Init()
	if err := errors.Join(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""), syscall.Mount("proc", "/proc", "proc", 0, "")); err != nil {
		fmt.Println("skip:", err)
		return 0
	}
	ctx := context.Background()
	out, err := multiproc.NewQueue[[]any](nil)
	if err != nil {
		panic(err)
	}
	for _, m := range multiproc.StartMethods() {
		p, err := whoami.Start(ctx, out, &multiproc.ProcessOptions{Method: m, Name: string(m)})
		if err != nil {
			fmt.Println(err)
			continue
		}
		v, err := out.Get(ctx)
		if err != nil {
			panic(err)
		}
		fmt.Println(os.Getpid(), v[:2], v[2] == p.PID(), p.Wait(ctx))
	}
	return 0
})

func TestFirstProcessOfNamespace(t *testing.T) {
	cmd := firstProcess.Command(proctest.Context(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if errors.Is(err, syscall.EPERM) || strings.HasPrefix(string(out), "skip:") {
		t.Skipf("a pid namespace of its own takes root: %v %s", err, out)
	}
	var want strings.Builder
	for _, m := range multiproc.StartMethods() {
		fmt.Fprintf(&want, "1 [%s 1] true <nil>\n", m)
	}
	if err != nil || string(out) != want.String() {
		t.Errorf("%v:\n%s\nwant\n%s", err, out, want.String())
	}
}
