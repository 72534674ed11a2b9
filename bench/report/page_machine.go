package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fb2d3dbd/multiproc/bench"
)

// machines describes each machine that samples came from once.
func (p *page) machines() {
	var seen []string
	for _, s := range p.Samples {
		if s.Machine == nil {
			continue
		}
		t := describe(s.Machine, s.Go)
		if key := fmt.Sprint(t); !slices.Contains(seen, key) {
			seen = append(seen, key)
			p.Machines = append(p.Machines, t)
		}
	}
	if len(p.Machines) > 1 {
		p.Notices = append(p.Notices, "The samples come from several machines or versions and are pooled: medians over them mean little.")
	}
}

// describe tells what is known of a machine; what is not known is left out.
func describe(m *bench.Machine, goVersion string) machineTable {
	var t machineTable
	add := func(name, value string) {
		if value != "" {
			t = append(t, [2]string{name, value})
		}
	}
	add("CPU", m.CPU)
	add("CPUs", fmt.Sprintf("%d, GOMAXPROCS %d", m.CPUs, m.MaxProcs))
	if m.Virtual {
		add("Virtual", "yes: the host decides where its CPUs run")
	}
	if m.SMT == "1" {
		add("SMT", "on: two CPUs may share a core")
	}
	if m.MemoryBytes > 0 {
		add("Memory", fmt.Sprintf("%.1f GiB", float64(m.MemoryBytes)/(1<<30)))
	}
	add("System", strings.TrimSpace(m.OS+"/"+m.Arch+" "+m.Kernel))
	add("Governor", m.Governor)
	add("Huge pages", m.HugePages)
	add("Load before", m.Load)
	add("Go", goVersion)
	add("multiproc", m.Module)
	var names []string
	for n := range m.Peers {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		add(n, m.Peers[n])
	}
	return t
}

// settings says how the runs were made.
func (p *page) settings() {
	for _, r := range p.Runs {
		if r.ID == "" {
			continue
		}
		s := fmt.Sprintf("%s: samples of about %v, %d rounds", r.Started.Format("2006-01-02 15:04 UTC"), r.Settings.SampleTime, r.Settings.Rounds)
		if r.Settings.Budget > 0 {
			s += fmt.Sprintf(", slow implementations fewer, to be done in %v", r.Settings.Budget)
		}
		p.Settings = append(p.Settings, s)
	}
}
