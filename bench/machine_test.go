package bench

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadProc(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/cpuinfo":              "processor\t: 0\nmodel name\t: AMD EPYC 9B45\nflags\t\t: fpu hypervisor sse2\n\nprocessor\t: 1\nmodel name\t: other\n",
		"proc/meminfo":              "MemFree: 1 kB\nMemTotal:       2048 kB\n",
		"proc/loadavg":              "1.72 0.90 0.50 2/300 12345\n",
		"proc/sys/kernel/osrelease": "6.18.0\n",
		"sys/kernel/mm/transparent_hugepage/enabled":           "always [madvise] never\n",
		"sys/devices/system/cpu/smt/active":                    "1\n",
		"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got Machine
	got.readProc(root)
	want := Machine{
		CPU: "AMD EPYC 9B45", MemoryBytes: 2 << 20, Kernel: "6.18.0", Virtual: true, SMT: "1", Governor: "performance",
		HugePages: "madvise", Load: "1.72",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("machine (-want +got):\n%s", diff)
	}
	var empty Machine
	empty.readProc(t.TempDir())
	if diff := cmp.Diff(Machine{}, empty); diff != "" {
		t.Errorf("a system that tells nothing (-want +got):\n%s", diff)
	}
}

func TestThisMachine(t *testing.T) {
	m := ThisMachine()
	if m.OS != runtime.GOOS || m.Arch != runtime.GOARCH || m.CPUs < 1 || m.MaxProcs < 1 {
		t.Errorf("machine %+v", m)
	}
}
