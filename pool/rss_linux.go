package pool

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// residentSize returns the resident size of a process in bytes; pid 0 is this one.
func residentSize(pid int) (int64, error) {
	who := "self"
	if pid != 0 {
		who = strconv.Itoa(pid)
	}
	b, err := os.ReadFile("/proc/" + who + "/statm")
	if err != nil {
		return 0, err
	}
	f := bytes.Fields(b)
	if len(f) < 2 {
		return 0, fmt.Errorf("/proc/%s/statm reads %q", who, b)
	}
	pages, err := strconv.ParseInt(string(f[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}
