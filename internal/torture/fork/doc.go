// Package fork copies processes many times over and has each copy prove that its runtime is whole. A copy does one of the things in the
// list of cases, from garbage collection to forks of its own, and exits with 0. The processes that are copied are quiet ones, busy
// ones whose goroutines do all that might be in the way, and frozen ones, with one, two and eight Ps.
package fork
