//go:build !linux

package bench

// memfdSegment is missing: anonymous files are Linux's.
func memfdSegment() Impl {
	return kernelImpl("memfd", func() string { return "it is measured on Linux only" }, nil)
}
