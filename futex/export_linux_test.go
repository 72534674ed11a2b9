package futex

import "sync/atomic"

// KernelSleepers returns how many goroutines sleep in the kernel, and how many may.
func KernelSleepers() (now, most int) { return int(direct.Load()), int(maxDirect) }

// Wanted reports whether somebody waits in line.
func (l *RWMutex) Wanted() bool { return atomic.LoadUint32(l.line.word)&waiters != 0 }
