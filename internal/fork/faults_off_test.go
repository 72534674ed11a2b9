//go:build !fault && linux && amd64 && !race && !msan && !asan

package fork_test

func faults() {}
