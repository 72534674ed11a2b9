package proctest

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

func look() scene {
	return scene{
		descriptors: descriptors(),
		children:    processes(func(p process) bool { return p.parent == os.Getpid() }),
		orphans:     processes(descends),
		segments:    ownSegments("/dev/shm"),
		mappings:    mappings(),
		goroutines:  goroutines(),
		threads:     threads(os.Getpid()),
	}
}

// descriptors lists this process's open descriptors but for those of the runtime's poller.
func descriptors() []string {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var all []string
	for _, e := range entries {
		to, err := os.Readlink(dir + "/" + e.Name())
		if err != nil { // the directory's own
			continue
		}
		if to == "anon_inode:[eventpoll]" || to == "anon_inode:[eventfd]" {
			continue
		}
		all = append(all, e.Name()+" of "+to)
	}
	return all
}

// mappings lists what is mapped of the files that multiproc makes.
func mappings() []string {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil
	}
	var all []string
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, "/memfd:multiproc") || strings.Contains(line, "/dev/shm/multiproc-") {
			all = append(all, strings.Join(strings.Fields(line), " "))
		}
	}
	return all
}

type process struct {
	pid, parent int
	state       byte
	name        string
}

// processes lists the processes of the machine that pass the filter.
func processes(want func(process) bool) []string {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []string
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, ok := readProcess(pid); ok && want(p) {
			kind := ""
			if p.state == 'Z' {
				kind = ", never waited for"
			}
			all = append(all, fmt.Sprintf("%d (%s%s)", p.pid, p.name, kind))
		}
	}
	return all
}

func readProcess(pid int) (p process, ok bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return p, false
	}
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	f := bytes.Fields(b[end+1:])
	if open < 0 || end < open || len(f) < 2 {
		return p, false
	}
	parent, err := strconv.Atoi(string(f[1]))
	return process{pid: pid, parent: parent, state: f[0][0], name: string(b[open+1 : end])}, err == nil
}

// descends reports whether the process is alive and carries this run's mark.
func descends(p process) bool {
	if p.pid == os.Getpid() || p.parent == os.Getpid() || p.state == 'Z' {
		return false
	}
	env, _ := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/environ") // nothing of other users' and ended processes
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if mark, ok := bytes.CutPrefix(v, []byte(runVariable+"=")); ok {
			return slices.Contains(strings.Split(string(mark), "/"), runID)
		}
	}
	return false
}

func threads(pid int) int {
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return 0
	}
	return len(entries)
}
