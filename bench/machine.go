package bench

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
)

// A Machine says on what a sample was taken. What the system does not tell is left empty. It holds no host name.
type Machine struct {
	OS          string `json:"os"`
	Arch        string `json:"arch"`
	CPU         string `json:"cpu,omitempty"`          // model name
	CPUs        int    `json:"cpus"`                   // that this process may use
	MaxProcs    int    `json:"gomaxprocs"`             // GOMAXPROCS
	MemoryBytes int64  `json:"memory_bytes,omitempty"` // installed
	Kernel      string `json:"kernel,omitempty"`       // release
	Virtual     bool   `json:"virtual,omitempty"`      // the CPU says that it runs under a hypervisor
	SMT         string `json:"smt,omitempty"`          // "1" when hardware threads share cores
	Governor    string `json:"governor,omitempty"`     // frequency governor of the first CPU
	HugePages   string `json:"huge_pages,omitempty"`   // transparent huge pages: always, madvise, never
	Load        string `json:"load,omitempty"`         // load average of the last minute when the run began
	Module      string `json:"module,omitempty"`       // version of this module, or the commit it was built from
	Binary      string `json:"binary,omitempty"`       // the beginning of the executable's SHA-256

	Peers map[string]string `json:"peers,omitempty"` // versions of the peers found: "cpython", "cc"
}

// ThisMachine describes the machine that the program runs on.
func ThisMachine() *Machine {
	m := &Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH,
		CPUs: runtime.NumCPU(), MaxProcs: runtime.GOMAXPROCS(0),
		Module: moduleVersion(), Binary: executable(),
	}
	if m.OS == "linux" {
		m.readProc("/")
	}
	return m
}

// differs names the first thing by which figures of another machine, or another version of the program, could not stand
// beside those of m, and what it is with either; "" where there is none. The load, and what is not known of m, do not count.
func (m *Machine) differs(other *Machine) (what string, of, others any) {
	for _, f := range []struct {
		what       string
		of, others any
	}{
		{"the executable", m.Binary, other.Binary},
		{"the system", m.OS + "/" + m.Arch, other.OS + "/" + other.Arch},
		{"the kernel", m.Kernel, other.Kernel},
		{"the processor", m.CPU, other.CPU},
		{"a number of CPUs of", m.CPUs, other.CPUs},
		{"GOMAXPROCS", m.MaxProcs, other.MaxProcs},
		{"bytes of memory:", m.MemoryBytes, other.MemoryBytes},
		{"the peers", fmt.Sprint(m.Peers), fmt.Sprint(other.Peers)},
	} {
		if f.of != f.others {
			return f.what, f.of, f.others
		}
	}
	return "", nil, nil
}

// executable tells this executable from every other one: two builds of the same files are the same.
var executable = sync.OnceValue(func() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
})

// readProc fills in what Linux tells under /proc and /sys; root is the folder that holds these.
func (m *Machine) readProc(root string) {
	line := func(path string) string {
		b, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return ""
		}
		first, _, _ := strings.Cut(string(b), "\n")
		return strings.TrimSpace(first)
	}
	m.Kernel = line("proc/sys/kernel/osrelease")
	m.SMT = line("sys/devices/system/cpu/smt/active")
	m.Governor = line("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
	m.Load, _, _ = strings.Cut(line("proc/loadavg"), " ")
	if _, after, ok := strings.Cut(line("sys/kernel/mm/transparent_hugepage/enabled"), "["); ok {
		m.HugePages, _, _ = strings.Cut(after, "]")
	}
	info := procFields(filepath.Join(root, "proc/cpuinfo"), "model name", "flags", "Features")
	m.CPU = info["model name"]
	m.Virtual = strings.Contains(" "+info["flags"]+" ", " hypervisor ")
	kb := strings.TrimSuffix(procFields(filepath.Join(root, "proc/meminfo"), "MemTotal")["MemTotal"], " kB")
	if n, err := strconv.ParseInt(kb, 10, 64); err == nil {
		m.MemoryBytes = n << 10
	}
}

// procFields returns the first value of each of the named "name : value" lines of a file.
func procFields(path string, names ...string) map[string]string {
	values := map[string]string{}
	f, err := os.Open(path)
	if err != nil {
		return values
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() && len(values) < len(names) {
		name, value, ok := strings.Cut(sc.Text(), ":")
		if !ok {
			continue
		}
		name = strings.TrimSpace(name)
		for _, want := range names {
			if _, have := values[name]; name == want && !have {
				values[name] = strings.TrimSpace(value)
			}
		}
	}
	return values
}

// moduleVersion returns the version of this module as the build recorded it: a release, or a commit with "+dirty" when
// files had been changed.
func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	rev, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			rev = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if rev != "" {
		return rev + dirty
	}
	return info.Main.Version
}
