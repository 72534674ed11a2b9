package shm_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
	"github.com/fb2d3dbd/multiproc/spawn"
)

// keeper opens or creates the segment of its argument's name, says its id, and closes it when its standard input ends.
var keeper = proctest.NewProgram("shm-keeper", func() int {
	s, err := shm.OpenOrCreate(os.Args[1], &shm.Options{Size: 64, Participants: 16})
	if err == nil {
		fmt.Println(s.ID())
		_, err = io.Copy(io.Discard, os.Stdin)
		err = errors.Join(err, s.Close())
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
})

type keeping struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

func keep(t *testing.T, name string, env ...string) *keeping {
	t.Helper()
	cmd := keeper.Command(proctest.Context(t), name)
	cmd.Env = append(cmd.Env, env...)
	in, err := cmd.StdinPipe()
	ok(t, err)
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	k := &keeping{cmd, in, bufio.NewReader(out)}
	t.Cleanup(k.kill)
	return k
}

func (k *keeping) id(t *testing.T) (id uint64) {
	t.Helper()
	if _, err := fmt.Fscan(k.out, &id); err != nil {
		t.Fatalf("a process has not opened the segment: %v", err)
	}
	return id
}

func (k *keeping) kill() {
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait()
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// A segment and its name live as long as somebody has it open, whoever made it, and no longer.
func TestNameLivesWithItsUsers(t *testing.T) {
	name := proctest.SegmentName(t)
	path := "/dev/shm/multiproc-" + name
	maker := keep(t, name)
	id := maker.id(t)
	second := keep(t, name)
	if got := second.id(t); got != id {
		t.Fatalf("two have opened %#x and %#x", id, got)
	}
	maker.kill()
	s, err := shm.Open(name)
	ok(t, err)
	if s.ID() != id {
		t.Errorf("after the death of its maker the name leads to %#x, not %#x", s.ID(), id)
	}
	_, err = shm.Create(name, nil)
	wantErr(t, err, os.ErrExist)
	ok(t, second.stdin.Close())
	ok(t, second.cmd.Wait())
	_, err = shm.Create(name, nil)
	wantErr(t, err, os.ErrExist)
	ok(t, s.Close())
	if exists(path) {
		t.Error("the name is there after the last has closed the segment")
	}
	_, err = shm.Open(name)
	wantErr(t, err, os.ErrNotExist)

	last := keep(t, name)
	if other := last.id(t); other == id {
		t.Error("a new segment has the id of an old one")
	}
	last.kill()
	if !exists(path) {
		t.Error("somebody has taken the name of a killed process away")
	}
	_, err = shm.Open(name)
	wantErr(t, err, os.ErrNotExist)
	s, err = shm.Create(name, nil)
	ok(t, err)
	ok(t, s.Close())
	if exists(path) {
		t.Error("the name is there at the end")
	}
}

type heirArg struct {
	Seg  *shm.Segment
	Name string
}

var heir = spawn.NewTarget("shm.heir", func(ctx context.Context, a heirArg) error {
	if a.Seg.Name() != a.Name {
		return fmt.Errorf("the child's segment is named %q", a.Seg.Name())
	}
	if _, err := bufio.NewReader(os.Stdin).ReadByte(); err != nil { // the parent has closed it
		return err
	}
	s, err := shm.Open(a.Name)
	if err != nil {
		return err
	}
	defer s.Close()
	if s.ID() != a.Seg.ID() {
		return errors.New("the name leads to another segment")
	}
	return nil
})

// A child that has got a named segment keeps its name alive.
func TestNameOfAChild(t *testing.T) {
	name := proctest.SegmentName(t)
	s, err := shm.Create(name, nil)
	ok(t, err)
	r, w, err := os.Pipe()
	ok(t, err)
	defer r.Close()
	p, err := heir.Start(proctest.Context(t), heirArg{s, name}, &spawn.Options{Stdin: r})
	ok(t, err)
	proctest.Eventually(t, func() bool { return len(s.Participants()) > 1 }, "the child opens the segment")
	again, err := shm.Open(name)
	ok(t, err)
	ok(t, s.Close())
	_, err = w.Write([]byte{1})
	ok(t, err)
	ok(t, p.Wait(proctest.Context(t)))
	ok(t, again.Close())
	ok(t, w.Close())
	if exists("/dev/shm/multiproc-" + name) {
		t.Error("the name is there at the end")
	}
}

// Who truncates what stands under a name harms nobody who has the segment open, and keeps others from opening it.
func TestTruncatedName(t *testing.T) {
	name := proctest.SegmentName(t)
	path := "/dev/shm/multiproc-" + name
	s, err := shm.Create(name, &shm.Options{Size: 1 << 20})
	ok(t, err)
	for _, size := range []int64{64, 63, 0} {
		ok(t, os.Truncate(path, size))
		b := s.Bytes()
		for i := range b {
			b[i]++
		}
		_, err := s.Alloc(shm.KindUser, 100)
		wantErr(t, err, shm.ErrNoSpace)
		_, err = shm.Open(name)
		if want := shm.ErrForeign; size == 64 { // the door is gone
			if err == nil || errors.Is(err, os.ErrNotExist) {
				t.Errorf("Open of a name without its doors: %v", err)
			}
		} else {
			wantErr(t, err, want)
		}
		_, err = shm.Create(name, nil)
		wantErr(t, err, os.ErrExist)
	}
	ok(t, s.Close())
	if exists(path) {
		t.Error("the name is there at the end")
	}
}

// A name that leads astray, of another version, damaged, or to a door behind which is something else, is an error.
func TestDamagedName(t *testing.T) {
	for what, c := range map[string]struct {
		off  int
		want error
	}{
		"magic": {0, shm.ErrForeign}, "version": {8, shm.ErrForeign}, "word size": {10, shm.ErrForeign}, "size": {16, shm.ErrCorrupt}, "check sum": {24, shm.ErrCorrupt},
	} {
		name := proctest.SegmentName(t)
		path := "/dev/shm/multiproc-" + name
		s, err := shm.Create(name, nil)
		ok(t, err)
		b, err := os.ReadFile(path)
		ok(t, err)
		b[c.off] ^= 1
		ok(t, os.WriteFile(path, b, 0o600))
		if _, err := shm.Open(name); !errors.Is(err, c.want) {
			t.Errorf("%s: Open returned %v, want %v", what, err, c.want)
		}
		_, err = shm.Create(name, nil)
		wantErr(t, err, os.ErrExist)
		ok(t, s.Close())
	}
}

// Who truncates the file of a kept segment gets an error out of Guard, not a crash.
func TestTruncatedFile(t *testing.T) {
	name, path := createNamed(t, &shm.Options{Size: 1 << 20, Arena: 8192, Participants: 8})
	s, err := shm.Open(name)
	ok(t, err)
	defer s.Close()
	b := s.Bytes()
	ok(t, s.Guard(func() error { b[len(b)-1] = 1; return nil }))
	wantErr(t, s.Guard(func() error { return io.EOF }), io.EOF)
	ok(t, os.Truncate(path, 1<<19))
	wantErr(t, s.Guard(func() error { b[len(b)-1] = 1; return nil }), shm.ErrTruncated)
	wantErr(t, s.Guard(func() error { _ = string(b); return nil }), shm.ErrTruncated)
	ok(t, s.Guard(func() error { b[0] = 1; return nil }))
	_, err = shm.Open(name)
	wantErr(t, err, shm.ErrCorrupt)
	func() {
		defer func() {
			if r := recover(); r != "mine" {
				t.Errorf("a panic of the function became %v", r)
			}
		}()
		_ = s.Guard(func() error { panic("mine") })
	}()
}

// small runs in a mount namespace of its own, with a small file system for named segments.
var small = proctest.NewProgram("shm-small", func() int {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		fmt.Println("skip:", err)
		return 0
	}
	if err := syscall.Mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1m,mode=1777"); err != nil {
		fmt.Println("skip:", err)
		return 0
	}
	for _, o := range []shm.Options{{Size: 8 << 20}, {Arena: 8 << 20, Prefault: true}, {Size: 8 << 20, HugePages: true}} {
		o.Keep = true
		if s, err := shm.Create("small", &o); !errors.Is(err, shm.ErrNoMemory) {
			fmt.Printf("%+v: %v\n", o, err)
			if err == nil {
				s.Close()
			}
			return 1
		}
	}
	if _, err := shm.CreateSharedMemory("psm_small", 8<<20); !errors.Is(err, shm.ErrNoMemory) {
		fmt.Println("shared memory:", err)
		return 1
	}
	s, err := shm.Create("small", &shm.Options{Size: 8 << 20}) // its memory is none of that file system's
	if err != nil {
		fmt.Println(err)
		return 1
	}
	clear(s.Bytes())
	filler, err := os.Create("/dev/shm/filler")
	if err == nil {
		_, err = filler.Write(make([]byte, 2<<20))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		fmt.Println("the file system is not full:", err)
		return 1
	}
	if _, err := shm.Create("other", nil); !errors.Is(err, shm.ErrNoMemory) {
		fmt.Println("a name in a full file system:", err)
		return 1
	}
	clear(s.Bytes())
	entries, err := os.ReadDir("/dev/shm")
	if err != nil || len(entries) != 2 {
		fmt.Println(entries, err)
		return 1
	}
	fmt.Println("passed", s.Close())
	return 0
})

// Where there is no room, making a segment is an error, and nothing is left of it.
func TestFullFileSystem(t *testing.T) {
	cmd := small.Command(proctest.Context(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || strings.HasPrefix(string(out), "skip:") {
		t.Skipf("a mount namespace of its own takes root: %v %s", err, out)
	}
	if err != nil || string(out) != "passed <nil>\n" {
		t.Errorf("%v: %s", err, out)
	}
}

func TestHugeAndPrefault(t *testing.T) {
	for _, o := range []shm.Options{
		{Size: 4 << 20, Arena: 4096, HugePages: true}, {Size: 4 << 20, Arena: 4096, Prefault: true}, {Size: 4 << 20, Arena: 4096, HugePages: true, Prefault: true},
	} {
		s, err := shm.New(&o)
		ok(t, err)
		if o.Prefault {
			if n := resident(t, "multiproc"); n < 4<<10 {
				t.Errorf("%+v: %d KiB are mapped", o, n)
			}
		}
		clear(s.Bytes())
		ok(t, s.Close())
		name := proctest.SegmentName(t)
		s, err = shm.Create(name, &o)
		ok(t, err)
		clear(s.Bytes())
		ok(t, s.Close())
	}
	_, err := shm.New(&shm.Options{Arena: 1 << 41, Prefault: true})
	wantErr(t, err, shm.ErrNoMemory)
}

// resident returns how many KiB this process has mapped of memory with this name.
func resident(t *testing.T, name string) (kib int) {
	b, err := os.ReadFile("/proc/self/smaps")
	ok(t, err)
	inside := false
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 5 {
			inside = f[5] == "/memfd:"+name
		}
		if n := 0; inside && f[0] == "Rss:" {
			fmt.Sscan(f[1], &n)
			kib += n
		}
	}
	return kib
}

// churner opens and closes one name again and again. As long as it has the segment open the name leads to that and no other.
var churner = spawn.NewTarget("shm.churner", func(_ context.Context, a churnArg) error {
	for i := 0; a.Rounds < 0 || i < a.Rounds; i++ {
		s, err := shm.OpenOrCreate(a.Name, &shm.Options{Size: 64, Participants: 16})
		if err != nil {
			return err
		}
		again, err := shm.Open(a.Name)
		if err != nil {
			return fmt.Errorf("while it is open: %w", err)
		}
		if again.ID() != s.ID() {
			return fmt.Errorf("the name leads to %#x, and %#x is open", again.ID(), s.ID())
		}
		if err := errors.Join(again.Close(), s.Close()); err != nil {
			return err
		}
	}
	return nil
})

type churnArg struct {
	Name   string
	Rounds int
}

func TestNameUnderKills(t *testing.T) {
	name := proctest.SegmentName(t)
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	survivor, err := churner.Start(proctest.Context(t), churnArg{name, 10 * rounds}, nil)
	ok(t, err)
	for range rounds {
		victim, err := churner.Start(proctest.Context(t), churnArg{name, -1}, nil)
		ok(t, err)
		proctest.Eventually(t, func() bool { return exists("/dev/shm/multiproc-" + name) }, "the name is there")
		ok(t, victim.Kill())
		var exit *spawn.ExitError
		if err := victim.Wait(proctest.Context(t)); !errors.As(err, &exit) || exit.Code != -9 {
			t.Errorf("the victim ended with %v", err)
		}
	}
	ok(t, survivor.Wait(proctest.Context(t)))
	s, err := shm.OpenOrCreate(name, nil)
	ok(t, err)
	ok(t, s.Close())
	if exists("/dev/shm/multiproc-" + name) {
		t.Error("the name is there at the end")
	}
}
