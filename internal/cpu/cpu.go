// Package cpu holds the few instructions that Go and its atomics do not offer: a release store that is no exchange, the
// spin-wait hint, a copy by whole lines, and asking for lines before they are stored to.
//
// atomic.Store is an XCHG on amd64: on a line that the other side is polling it stalls until the core owns that line. A
// plain MOV retires into the store buffer; x86's total store order makes it a release store. arm64 has STLR for it. The
// race build and other CPUs use atomic.Store, so that the race detector sees the edge.
//
// A release store is no fence: a load that follows it may be done first. Who stores and then looks for a sleeper needs
// the sleeper's help (package futex, EventCount).
package cpu

// CacheLine is the padding between what different sides write, in bytes: two lines of 64, because the hardware fetches
// them in pairs, and one line of those CPUs that have 128.
const CacheLine = 128
