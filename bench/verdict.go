package bench

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Verdict says whether all implementations of a job found the same in one run. Samples carry a digest of what they
// found as Extra["digest"]; where the digests differ at least one implementation is wrong, and its time means nothing.
type Verdict struct {
	Job     string // the scenario, without its number of workers
	Run     string
	Digests []Votes           // the one with the most implementations first
	Extra   map[string]string // what all samples have alike
}

// Votes are the implementations that reported one digest.
type Votes struct {
	Digest string
	Impls  []string
}

// Agree reports whether there is one digest only.
func (v Verdict) Agree() bool { return len(v.Digests) == 1 }

// Error says which implementations found what.
func (v Verdict) Error() string {
	parts := make([]string, len(v.Digests))
	for i, d := range v.Digests {
		parts[i] = d.Digest + " by " + strings.Join(d.Impls, ", ")
	}
	return fmt.Sprintf("%s: the implementations disagree on the result: %s", v.Job, strings.Join(parts, "; "))
}

// Verdicts compares the digests of samples within each run and each job, in the order of the samples. Jobs without
// digests have no verdict.
func Verdicts(samples []Sample) []Verdict {
	var list []Verdict
	for _, s := range samples {
		digest := s.Extra["digest"]
		if digest == "" {
			continue
		}
		job, _, _ := Family(s.Scenario)
		i := slices.IndexFunc(list, func(v Verdict) bool { return v.Job == job && v.Run == s.Run })
		if i < 0 {
			list = append(list, Verdict{Job: job, Run: s.Run, Extra: maps.Clone(s.Extra)})
			i = len(list) - 1
		}
		v := &list[i]
		maps.DeleteFunc(v.Extra, func(key, value string) bool { return s.Extra[key] != value })
		j := slices.IndexFunc(v.Digests, func(d Votes) bool { return d.Digest == digest })
		if j < 0 {
			v.Digests = append(v.Digests, Votes{Digest: digest})
			j = len(v.Digests) - 1
		}
		if !slices.Contains(v.Digests[j].Impls, s.Impl) {
			v.Digests[j].Impls = append(v.Digests[j].Impls, s.Impl)
		}
	}
	for _, v := range list {
		slices.SortStableFunc(v.Digests, func(a, b Votes) int { return cmp.Compare(len(b.Impls), len(a.Impls)) })
	}
	return list
}
