package sys_test

import (
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

func TestBarrier(t *testing.T) {
	if !sys.RegisterBarrier() {
		t.Skip("this kernel has no membarrier")
	}
	if !sys.Barrier() || !sys.RegisterBarrier() {
		t.Error("registered, and no barrier")
	}
	sys.Yield()
}

func TestPinThread(t *testing.T) {
	runtime.LockOSThread() // what is looked at is the thread's
	defer runtime.UnlockOSThread()
	allowed := func() []int {
		cpus, err := sys.AllowedCPUs()
		ok(t, err)
		return cpus
	}
	before := allowed()
	if len(before) == 0 || !slices.IsSorted(before) {
		t.Fatalf("allowed are %v", before)
	}
	last := before[len(before)-1]
	restore, err := sys.PinThread(last)
	ok(t, err)
	if got := allowed(); !slices.Equal(got, []int{last}) {
		t.Errorf("pinned to %d, allowed are %v", last, got)
	}
	restore()
	_, err = sys.PinThread()
	wantErr(t, "no CPU at all", err, unix.EINVAL)
	if got := allowed(); !slices.Equal(got, before) {
		t.Errorf("restored, allowed are %v, want %v", got, before)
	}
}
