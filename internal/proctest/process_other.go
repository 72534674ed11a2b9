//go:build !linux

package proctest

import (
	"os"
	"syscall"
	"testing"
)

func skip(t testing.TB) {
	t.Helper()
	t.Skip("this test looks at processes by way of Linux's /proc")
}

// FDs skips the test.
func FDs(t testing.TB) int { skip(t); return 0 }

// Threads skips the test.
func Threads(t testing.TB, pid int) int { skip(t); return 0 }

// Running skips the test.
func Running(t testing.TB, pid int) bool { skip(t); return false }

// Stopped skips the test.
func Stopped(t testing.TB, pid int) bool { skip(t); return false }

// Stop skips the test.
func Stop(t testing.TB, pid int) { skip(t) }

// Continue skips the test.
func Continue(t testing.TB, pid int) { skip(t) }

// Signal skips the test.
func Signal(t testing.TB, pid int, sig syscall.Signal) { skip(t) }

// Suicide ends this process.
func Suicide() { os.Exit(137) }
