package futex

// KernelSleepers returns how many goroutines sleep in the kernel, and how many may.
func KernelSleepers() (now, most int) { return int(direct.Load()), int(maxDirect) }
