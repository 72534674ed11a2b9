package sys

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MaxFutexes is the most words that one [FutexWaitAny] takes.
const MaxFutexes = 128

// A FutexWord is a word and the value that it must hold, in the form of the kernel's struct futex_waitv. It does not keep
// the word's memory alive.
type FutexWord struct {
	val   uint64
	addr  uint64
	flags uint32
	_     uint32
}

const futex2SizeU32 = 2 // without FUTEX2_PRIVATE: the word may be shared between processes

// Set makes w stand for a sleep while *word == val.
func (w *FutexWord) Set(word *uint32, val uint32) {
	*w = FutexWord{val: uint64(val), addr: uint64(uintptr(unsafe.Pointer(word))), flags: futex2SizeU32}
}

// FutexWaitAny sleeps while all words hold their values, until one of them is woken or d has passed, and returns the index of one
// that was woken; others may have been besides. The errors are those of [FutexWait]; ENOSYS comes from kernels before 5.16.
func FutexWaitAny(words []FutexWord, d time.Duration) (int, syscall.Errno) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, ENOSYS
	}
	ts = unix.NsecToTimespec(ts.Nano() + int64(d))
	r, _, errno := unix.Syscall6(unix.SYS_FUTEX_WAITV, uintptr(unsafe.Pointer(unsafe.SliceData(words))), uintptr(len(words)), 0,
		uintptr(unsafe.Pointer(&ts)), unix.CLOCK_MONOTONIC, 0)
	return int(r), errno
}
