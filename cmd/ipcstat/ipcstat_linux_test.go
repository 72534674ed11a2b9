package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/inspect"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

func TestMain(m *testing.M) {
	flag.Int("kills", 30, "processes that TestAfterKills kills")
	proctest.Main(m)
}

func ok(t testing.TB, err error) {
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
}

// ipcstat runs a command and returns what it writes.
func ipcstat(t *testing.T, status int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if got := run(proctest.Context(t), args, &out, &errs); got != status {
		t.Errorf("ipcstat %v has ended with %d, want %d: %s%s", args, got, status, out.String(), errs.String())
	}
	if status == exitUsage {
		return errs.String()
	}
	return out.String()
}

// ipcstatJSON runs a command with -json.
func ipcstatJSON[T any](t *testing.T, status int, args ...string) (v T) {
	t.Helper()
	out := ipcstat(t, status, append([]string{args[0], "-json"}, args[1:]...)...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("ipcstat %v: %v in %s", args, err, out)
	}
	return v
}

type objects struct {
	Ready *multiproc.Semaphore
	Lock  *multiproc.Mutex
	RW    *multiproc.RWMutex
	Sem   *multiproc.BoundedSemaphore
	Event *multiproc.Event
	Queue *multiproc.Queue[int]
	Large *multiproc.Queue[string]
	Value *multiproc.Value[int]
	Blob  *shm.Blob
}

// family makes a named segment the default one, and objects of all kinds in it.
func family(t *testing.T) (name string, o objects) {
	t.Helper()
	name = proctest.SegmentName(t)
	s, err := shm.Create(name, &shm.Options{Arena: 8 << 20, Participants: 64})
	ok(t, err)
	shm.SetDefault(s)
	t.Cleanup(func() { shm.SetDefault(nil); s.Close() })
	var errs [10]error
	o.Ready, errs[0] = multiproc.NewSemaphore(0, &multiproc.SemaphoreOptions{Max: 1000})
	o.Lock, errs[1] = multiproc.NewMutex()
	o.RW, errs[2] = multiproc.NewRWMutex(nil)
	o.Sem, errs[3] = multiproc.NewBoundedSemaphore(3)
	o.Event, errs[4] = multiproc.NewEvent()
	o.Queue, errs[5] = multiproc.NewQueue[int](&multiproc.QueueOptions{Capacity: 16})
	o.Large, errs[6] = multiproc.NewQueue[string](&multiproc.QueueOptions{Capacity: 4, Bytes: 64 << 10})
	o.Value, errs[7] = multiproc.NewValue(0)
	o.Blob, errs[8] = shm.NewBlob(s, 1000)
	ok(t, errors.Join(errs[:]...))
	return name, o
}

// holder holds something of everything until it is killed.
var holder = multiproc.NewTarget("ipcstat.holder", func(ctx context.Context, o objects) error {
	err := errors.Join(o.Lock.Lock(ctx), o.RW.RLock(ctx), o.Sem.Acquire(ctx), o.Event.Set())
	for i := range 5 {
		err = errors.Join(err, o.Queue.Put(ctx, i))
	}
	d, e := o.Queue.Receive(ctx) // not acknowledged
	err = errors.Join(err, e, o.Ready.Release())
	if err != nil {
		return err
	}
	<-make(chan int)
	return d.Ack()
})

func TestShows(t *testing.T) {
	name, o := family(t)
	p, err := holder.Start(proctest.Context(t), o, nil)
	ok(t, err)
	ok(t, o.Ready.Acquire(proctest.Context(t)))

	ls := ipcstatJSON[struct{ Segments []inspect.Segment }](t, exitOK, "ls", name)
	if len(ls.Segments) != 1 {
		t.Fatalf("ls shows %+v", ls)
	}
	s := ls.Segments[0]
	if s.Kind != inspect.Named || s.Name != name || s.Alive() != 2 || len(s.Mapped) != 2 || s.Arena != 8<<20 || s.Allocated == 0 || s.Resident < 8<<20 || s.Size < s.Resident ||
		time.Since(s.Created).Abs() > time.Hour || s.Places != 64 {
		t.Errorf("the segment is %+v", s)
	}
	for _, arg := range []string{s.ID, s.ID[:6], fmt.Sprint(p.PID()), name} {
		if text := ipcstat(t, exitOK, "ls", arg); !strings.Contains(text, name) || !strings.Contains(text, fmt.Sprintf("%d(", p.PID())) || !strings.Contains(text, "named") {
			t.Errorf("ls %s shows\n%s", arg, text)
		}
	}

	held := map[string]seenLock{}
	for _, l := range ipcstatJSON[[]seenLock](t, exitOK, "locks", "-for", "1ms", name) {
		held[l.Kind] = l
		if l.HeldFor < 0 || l.Problem != "" {
			t.Errorf("a lock: %+v", l)
		}
	}
	if l := held["mutex"]; l.Owner == nil || l.Owner.PID != p.PID() || !l.Owner.Alive || l.Waiters {
		t.Errorf("the mutex is %+v", l)
	}
	for _, kind := range []string{"rwmutex", "bounded semaphore"} {
		if l := held[kind]; len(l.Holders) != 1 || l.Holders[0].PID != p.PID() {
			t.Errorf("the %s is %+v", kind, l)
		}
	}
	text := ipcstat(t, exitOK, "locks", "-all", "-for", "0", name)
	if !strings.Contains(text, "2 free, 1 held") || !strings.Contains(text, "event") || !strings.Contains(text, ">=0.0s") {
		t.Errorf("locks -all shows\n%s", text)
	}

	queues := ipcstatJSON[[]ratedQueue](t, exitOK, "queues", "-for", "1ms", name)
	q := queues[0]
	if len(queues) != 2 || q.Depth != 4 || q.Capacity != 16 || q.Unacked != 1 || len(q.Producers) != 1 || q.Producers[0].PID != p.PID() || len(q.Consumers) != 1 ||
		q.Puts != 5 || q.Gets != 1 || q.PutRate != 0 || q.Closed || q.Problem != "" {
		t.Errorf("the queues are %+v", queues)
	}
	if text := ipcstat(t, exitOK, "queues", "-for", "0", name); !strings.Contains(text, "4/16") {
		t.Errorf("queues shows\n%s", text)
	}
	if text := ipcstat(t, exitOK, "top", "-n", "2", "-every", "1ms", name); strings.Count(text, "PUTS/S") != 2 || !strings.Contains(text, "rwmutex") {
		t.Errorf("top shows\n%s", text)
	}
	ipcstatJSON[map[string]any](t, exitOK, "top", "-n", "1", "-every", "1ms", name)

	dump := ipcstatJSON[struct{ Objects []inspect.Object }](t, exitOK, "dump", name)
	kinds := map[string]uint64{}
	for _, x := range dump.Objects {
		kinds[x.Kind] = x.Offset
	}
	ok(t, o.Blob.Store(proctest.Context(t), []byte("a value in a blob")))
	if text := ipcstat(t, exitOK, "dump", "-object", "-at", fmt.Sprint(kinds["blob"]), "-bytes", "2000", name); !strings.Contains(text, "a value in a blo") {
		t.Errorf("dump of an object shows\n%s", text)
	}
	if text := ipcstat(t, exitOK, "dump", "-bytes", "16", name); !strings.Contains(text, "MPSEGMNT") {
		t.Errorf("dump of the head shows\n%s", text)
	}
	if text := ipcstat(t, exitOK, "dump", name); !strings.Contains(text, "blob") || !strings.Contains(text, "queue") {
		t.Errorf("dump shows\n%s", text)
	}

	clean(t, name)
	ok(t, p.Kill())
	_ = p.Wait(proctest.Context(t))
	proctest.Dead(t, o.Lock.Segment())
	f := check(t, exitOK, name)
	left := strings.Join(f.Left, "\n")
	for _, want := range []string{"participant", "the mutex", "the rwmutex", "the bounded semaphore", "the queue"} {
		if !strings.Contains(left, want) {
			t.Errorf("after the death of one who held everything, what he has left is\n%s\nwithout %q", left, want)
		}
	}
	if text := ipcstat(t, exitOK, "check", name); !strings.Contains(text, " 0 problems") || !strings.Contains(text, "left: ") {
		t.Errorf("check shows\n%s", text)
	}
	if text := ipcstat(t, exitOK, "ls", name); !strings.Contains(text, "1+1 dead") {
		t.Errorf("ls shows\n%s", text)
	}
}

func check(t *testing.T, status int, name string) inspect.Finding {
	t.Helper()
	all := ipcstatJSON[[]inspect.Finding](t, status, "check", name)
	if len(all) != 1 {
		t.Fatalf("check %s has found %+v", name, all)
	}
	return all[0]
}

func clean(t *testing.T, name string) {
	t.Helper()
	if f := check(t, exitOK, name); len(f.Problems) > 0 || len(f.Left) > 0 || f.Objects == 0 {
		t.Errorf("check has found %+v", f)
	}
}

// Whatever is written over is found.
func TestCheckFindsDamage(t *testing.T) {
	name, o := family(t)
	seg := o.Lock.Segment()
	clean(t, name)
	_, err := seg.Alloc(shm.KindUser, 100)
	ok(t, err)
	for what, damage := range map[string]func() (undo func()){
		"the state of a block":      func() func() { return scribble(seg, o.Blob.Ref().Offset, 3, 0x40) },
		"the size class":            func() func() { return scribble(seg, o.Blob.Ref().Offset, 8, 0x07) },
		"the size of an object":     func() func() { return scribble(seg, o.Blob.Ref().Offset, 20, 0x10) },
		"the owner of a mutex":      func() func() { return scribblePayload(t, seg, shm.KindMutex, 1, 0xFC) },
		"a semaphore's head":        func() func() { return scribblePayload(t, seg, shm.KindBoundedSemaphore, 0, 0x01) },
		"a semaphore's permit":      func() func() { return scribblePayload(t, seg, shm.KindBoundedSemaphore, 64+3, 0xC0) },
		"a queue's head":            func() func() { return scribblePayload(t, seg, shm.KindQueue, 40, 0x01) },
		"a queue's slot":            func() func() { return scribblePayload(t, seg, shm.KindQueue, 33408+15, 0x70) },
		"the number of the readers": func() func() { return scribblePayload(t, seg, shm.KindRWMutex, 33, 0x01) },
	} {
		undo := damage()
		if f := check(t, exitFound, name); len(f.Problems) == 0 {
			t.Errorf("%s was written over, and check has found nothing", what)
		}
		undo()
	}
	clean(t, name)
}

// blockMemory returns a writable view of the segment's arena.
func blockMemory(seg *shm.Segment, off uint64) []byte {
	return arena(seg)[off:] // the head of a block stands in front of its object, where no view of the package leads
}

func scribble(seg *shm.Segment, block uint64, at int, bits byte) func() {
	mem := blockMemory(seg, block)
	mem[at] ^= bits
	return func() { mem[at] ^= bits }
}

func scribblePayload(t *testing.T, seg *shm.Segment, kind shm.Kind, at int, bits byte) func() {
	t.Helper()
	s := lookAt(t, seg)
	defer s.Close()
	for o, err := range s.Objects() {
		ok(t, err)
		if o.Kind == kind && o.State == shm.BlockUsed {
			mem, err := seg.At(o.Ref, kind)
			ok(t, err)
			mem[at] ^= bits
			return func() { mem[at] ^= bits }
		}
	}
	t.Fatalf("there is no object of kind %d", kind)
	return nil
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"nothing"}, {"ls", "no-such-segment"}, {"ls", "-x"}, {"dump"}, {"dump", "a", "b"}, {"top", "-every", "0"}, {"dump", "-bytes", "0", "x"}, {"locks", "-for", "x"}} {
		if text := ipcstat(t, exitUsage, args...); !strings.HasPrefix(text, "ipcstat: ") {
			t.Errorf("ipcstat %v says %q", args, text)
		}
	}
	for _, args := range [][]string{{}, {"help"}, {"-h"}, {"ls", "-h"}, {"gc", "-h"}} {
		if text := ipcstat(t, exitOK, args...); !strings.Contains(text, "ipcstat") {
			t.Errorf("ipcstat %v says %q", args, text)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got := run(ctx, []string{"queues"}, &bytes.Buffer{}, &bytes.Buffer{}); got != exitInterrupted {
		t.Errorf("interrupted, it has ended with %d", got)
	}
}

// What stands under a name of ours and is none, a kept segment, and a block of CPython's kind.
func TestOtherFiles(t *testing.T) {
	name := proctest.SegmentName(t)
	path := "/dev/shm/multiproc-" + name
	ok(t, os.WriteFile(path, []byte("no segment"), 0o600))
	if f := check(t, exitFound, name); len(f.Problems) != 1 {
		t.Errorf("check has found %+v", f)
	}
	ipcstat(t, exitFound, "dump", name)
	if text := ipcstat(t, exitOK, "gc", name); text != "" {
		t.Errorf("gc has taken somebody's file: %s", text)
	}
	ok(t, os.Remove(path))

	s, err := shm.Create(name, &shm.Options{Size: 100, Arena: 4096, Keep: true})
	ok(t, err)
	_, err = s.Alloc(shm.KindUser, 8)
	ok(t, err)
	clean(t, name)
	if text := ipcstat(t, exitOK, "gc", "-kept", name); text != "" {
		t.Errorf("gc has taken a segment that is open: %s", text)
	}
	ok(t, s.Close())
	if text := ipcstat(t, exitOK, "gc", name); text != "" {
		t.Errorf("gc has taken a kept segment unasked: %s", text)
	}
	ok(t, os.Truncate(path, 8192))
	if f := check(t, exitFound, name); len(f.Problems) != 1 {
		t.Errorf("of a truncated file check has found %+v", f)
	}
	ok(t, os.Remove(path))

	m, err := shm.CreateSharedMemory("psm_"+filepath.Base(name), 100)
	ok(t, err)
	if text := ipcstat(t, exitOK, "ls", m.Name()); !strings.Contains(text, "python") {
		t.Errorf("ls shows\n%s", text)
	}
	if text := ipcstat(t, exitOK, "gc", "-python", m.Name()); text != "" {
		t.Errorf("gc has taken a block that is open: %s", text)
	}
	ok(t, m.Close())
	gone := ipcstatJSON[[]removal](t, exitOK, "gc", "-python", "-n", m.Name())
	if len(gone) > 1 {
		t.Errorf("gc -n says %+v", gone)
	}
	_ = m.Unlink()
}

// worker works with everything until it is killed.
var worker = multiproc.NewTarget("ipcstat.worker", func(ctx context.Context, o objects) error {
	for i := 0; ; i++ {
		err := o.Lock.Lock(ctx)
		if errors.Is(err, multiproc.ErrOwnerDied) {
			err = o.Lock.MarkConsistent()
		}
		if err == nil {
			err = o.Lock.Unlock()
		}
		x, e := multiproc.NewRawValue(i)
		if e == nil {
			e = x.Segment().Free(x.Ref())
		}
		err = errors.Join(err, e, o.Blob.Store(ctx, make([]byte, i%1000)), o.Sem.Acquire(ctx), o.Sem.Release(), o.Event.Set(), o.Event.Clear())
		if e := o.Queue.TryPut(i); e != nil && !errors.Is(e, multiproc.ErrFull) {
			err = errors.Join(err, e)
		}
		if _, e := o.Queue.TryGet(); e != nil && !errors.Is(e, multiproc.ErrEmpty) {
			err = errors.Join(err, e)
		}
		if e := o.Large.TryPut(strings.Repeat("x", i%5000)); e != nil && !errors.Is(e, multiproc.ErrFull) {
			err = errors.Join(err, e)
		}
		if _, e := o.Large.TryGet(); e != nil && !errors.Is(e, multiproc.ErrEmpty) {
			err = errors.Join(err, e)
		}
		if i == 0 {
			err = errors.Join(err, o.Ready.Release())
		}
		if err != nil {
			return err
		}
	}
})

// TestAfterKills: whoever is killed in the middle of whatever, check finds nothing that cannot be, with the living at work and without, and gc leaves nothing.
func TestAfterKills(t *testing.T) {
	kills := flag.Lookup("kills").Value.(flag.Getter).Get().(int)
	if testing.Short() {
		kills = min(kills, 8)
	}
	name, o := family(t)
	ctx := context.Background()
	var all []*multiproc.Process
	begin := func() {
		p, err := worker.Start(ctx, o, nil)
		ok(t, err)
		ok(t, o.Ready.Consume(proctest.Context(t)))
		all = append(all, p)
	}
	begin()
	for i := range kills {
		begin()
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond) // whatever it is at
		k := rand.IntN(len(all))
		ok(t, all[k].Kill())
		_ = all[k].Wait(proctest.Context(t))
		all = append(all[:k], all[k+1:]...)
		if i%10 == 0 {
			if f := check(t, exitOK, name); len(f.Problems) > 0 {
				t.Fatalf("after %d kills, while others work, check has found\n%s", i+1, strings.Join(f.Problems, "\n"))
			}
		}
	}
	for _, p := range all {
		ok(t, p.Kill())
		_ = p.Wait(proctest.Context(t))
	}
	proctest.Dead(t, o.Lock.Segment())
	if f := check(t, exitOK, name); len(f.Problems) > 0 {
		t.Fatalf("after %d kills check has found\n%s", kills, strings.Join(f.Problems, "\n"))
	}
	t.Logf("%d kills; the dead have left %d things to mend", kills, len(check(t, exitOK, name).Left))
	ipcstat(t, exitOK, "gc", name)
	if s := lookAt(t, o.Lock.Segment()); true {
		for x, err := range s.Objects() {
			ok(t, err)
			if x.Owner != 0 {
				t.Errorf("after gc the block at %#x is participant %#x's", x.Offset, x.Owner)
			}
		}
		ok(t, s.Close())
	}
	ok(t, o.Lock.Segment().Close())
	if _, err := os.Lstat("/dev/shm/multiproc-" + name); err == nil {
		t.Error("the name is there at the end")
	}
}

// abandon makes a segment and is killed.
var abandon = multiproc.NewTarget("ipcstat.abandon", func(_ context.Context, name string) error {
	if _, err := shm.Create(name, nil); err != nil {
		return err
	}
	proctest.Suicide()
	return nil
})

func TestGC(t *testing.T) {
	name := proctest.SegmentName(t)
	p, err := abandon.Start(proctest.Context(t), name, nil)
	ok(t, err)
	_ = p.Wait(proctest.Context(t))
	if f := check(t, exitOK, name); len(f.Left) != 1 {
		t.Errorf("check has found %+v", f)
	}
	if text := ipcstat(t, exitOK, "ls", name); !strings.Contains(text, "dead name") {
		t.Errorf("ls shows\n%s", text)
	}
	for _, n := range []string{"-n", "-n=false"} {
		gone := ipcstatJSON[[]removal](t, exitOK, "gc", n, name)
		if len(gone) != 1 || gone[0].Name != name || gone[0].Problem != "" {
			t.Errorf("gc %s: %+v", n, gone)
		}
	}
	ipcstat(t, exitUsage, "ls", name)
}
