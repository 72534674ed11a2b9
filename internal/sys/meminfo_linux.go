package sys

import (
	"bytes"
	"os"
	"strconv"
)

// Memory returns how many bytes of memory the machine has, and how many of them can be had now, both no more than the container's limit. Both are
// 0 where that is not known.
func Memory() (total, available uint64) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0
	}
	total, available = meminfo(b, "MemTotal:"), meminfo(b, "MemAvailable:")
	if limit, ok := number("/sys/fs/cgroup/memory.max"); ok {
		used, _ := number("/sys/fs/cgroup/memory.current")
		total, available = min(total, limit), min(available, limit-min(limit, used))
	}
	return total, available
}

func meminfo(b []byte, name string) uint64 {
	_, rest, ok := bytes.Cut(b, []byte(name))
	if f := bytes.Fields(rest); ok && len(f) > 0 {
		n, _ := strconv.ParseUint(string(f[0]), 10, 64)
		return n << 10
	}
	return 0
}

func number(path string) (uint64, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 64) // "max" is no number
	return n, err == nil
}
