// Package torture kills processes inside critical sections, many times, and checks exactly what came of it. It is the harness;
// a suite for one kind of shared object, such as package queue below it, brings the processes and what they do.
//
// A victim is a process that works until it passes a crash point (package fault) for the n-th time and sends itself SIGKILL or
// SIGSTOP there. Everything that it does it writes down in [Books], a segment of their own, before and after, so
// that its death is reckoned up exactly: [Books.Bury] reads what was under way, and [Books.Audit] balances every id at a quiet
// point. docs/design/torture.md says what counts as what.
package torture
