package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/fb2d3dbd/multiproc"
)

// memory is what a process has, in KiB.
type memory struct{ rss, pss, private int }

func memoryOf(pid int) (m memory, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, err := strconv.Atoi(fields[1])
		if err != nil {
			continue // the line with the addresses
		}
		switch fields[0] {
		case "Rss:":
			m.rss = kib
		case "Pss:":
			m.pss = kib
		case "Private_Clean:", "Private_Dirty:":
			m.private += kib
		}
	}
	return m, nil
}

// printMemory prints what the servers have. The zygote has a share of the index, too.
func printMemory(servers []*multiproc.Process, mib int) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "MiB\tRSS\tPSS\tof its own\t")
	var all memory
	for _, p := range servers {
		m, err := memoryOf(p.PID())
		if err != nil {
			return err
		}
		all.rss, all.pss, all.private = all.rss+m.rss, all.pss+m.pss, all.private+m.private
		fmt.Fprintf(table, "server %d\t%d\t%d\t%d\t\n", p.PID(), m.rss>>10, m.pss>>10, m.private>>10)
	}
	fmt.Fprintf(table, "%d servers\t%d\t%d\t%d\t\n", len(servers), all.rss>>10, all.pss>>10, all.private>>10)
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Printf("an index for each server alone would be %d MiB\n", len(servers)*mib)
	return err
}
