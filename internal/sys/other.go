//go:build !linux

package sys

import (
	"syscall"
	"time"
)

// What follows stands in for the Linux calls on other platforms; each says that the thing is not available.

// Memfd is not available.
func Memfd(name string, size int64) (int, error) { return -1, Unsupported("anonymous shared memory") }

// Sealed is not available.
func Sealed(fd int) bool { return false }

// Scratch is not available.
func Scratch(name string) (int, error) { return -1, Unsupported("an anonymous file") }

// Reopen is not available.
func Reopen(fd int) (int, error) { return -1, Unsupported("reopening a descriptor") }

// ReopenToRead is not available.
func ReopenToRead(fd int) (int, error) { return -1, Unsupported("reopening a descriptor") }

// OpenFile is not available.
func OpenFile(path string, flags int, mode uint32) (int, error) {
	return -1, Unsupported("a named segment")
}

// TempFile is not available.
func TempFile(dir string, mode uint32) (int, error) { return -1, Unsupported("a named segment") }

// LinkFile is not available.
func LinkFile(fd int, path string) error { return Unsupported("a named segment") }

// Allocate is not available.
func Allocate(fd int, size int64) error { return Unsupported("reserving memory") }

// Discard is not available.
func Discard(mem []byte) error { return Unsupported("giving memory back") }

// FileSize is not available.
func FileSize(fd int) (int64, error) { return 0, Unsupported("shared memory") }

// WriteAt is not available.
func WriteAt(fd int, b []byte, off int64) error { return Unsupported("a raw descriptor") }

// ReadUpTo is not available.
func ReadUpTo(fd int, b []byte, off int64) (int, error) { return 0, Unsupported("a raw descriptor") }

// A FileID tells files apart.
type FileID struct{ Dev, Ino uint64 }

// Identity is not available.
func Identity(fd int) (FileID, error) { return FileID{}, Unsupported("a raw descriptor") }

// IdentityOf is not available.
func IdentityOf(path string) (FileID, error) { return FileID{}, Unsupported("a named segment") }

// OpenFDOf is not available.
func OpenFDOf(pid, fd, flags int) (int, error) {
	return -1, Unsupported("a descriptor of another process")
}

// TryLockRange is not available.
func TryLockRange(fd int, off, n int64) (bool, error) {
	return false, Unsupported("a byte-range lock")
}

// FirstHeld is not available.
func FirstHeld(fd int, off, n int64) (at, length int64, err error) {
	return 0, 0, Unsupported("a byte-range lock")
}

// AdviseHuge is not available.
func AdviseHuge(mem []byte) error { return Unsupported("huge pages") }

// Populate is not available.
func Populate(mem []byte) error { return Unsupported("mapping memory in advance") }

// Memory returns zeros: not known.
func Memory() (total, available uint64) { return 0, 0 }

// CloseFD is not available.
func CloseFD(fd int) error { return Unsupported("a raw descriptor") }

// DupFD is not available.
func DupFD(fd int) (int, error) { return -1, Unsupported("a raw descriptor") }

// SetCloexec is not available.
func SetCloexec(fd int) error { return Unsupported("a raw descriptor") }

// IsExist reports whether err says that a name is taken.
func IsExist(err error) bool { return false }

// IsFull reports whether err says that there is no memory left.
func IsFull(err error) bool { return false }

// TryLockByte is not available.
func TryLockByte(fd int, off int64) (bool, error) { return false, Unsupported("a byte-range lock") }

// UnlockByte is not available.
func UnlockByte(fd int, off int64) error { return Unsupported("a byte-range lock") }

// ByteHeld is not available.
func ByteHeld(fd int, off int64) (bool, error) { return false, Unsupported("a byte-range lock") }

// FutexWait returns ENOSYS.
func FutexWait(word *uint32, val uint32, d time.Duration) syscall.Errno { return ENOSYS }

// FutexWake returns ENOSYS.
func FutexWake(word *uint32, n int) (int, syscall.Errno) { return 0, ENOSYS }

// Futex reports whether this platform has futexes on shared memory.
const Futex = false

// RegisterBarrier reports false.
func RegisterBarrier() bool { return false }

// Barrier reports false.
func Barrier() bool { return false }

// Yield does nothing.
func Yield() {}

// PinThread is not available.
func PinThread(cpus ...int) (restore func(), err error) { return nil, Unsupported("CPU affinity") }

// AllowedCPUs is not available.
func AllowedCPUs() ([]int, error) { return nil, Unsupported("CPU affinity") }

// Map is not available.
func Map(fd, size int, write bool) ([]byte, error) { return nil, Unsupported("shared memory") }

// Unmap is not available.
func Unmap(mem []byte) error { return Unsupported("shared memory") }

// Detach is not available.
func Detach(mem []byte) error { return Unsupported("shared memory") }

// StartTime is not available.
func StartTime(pid int) (uint64, error) { return 0, Unsupported("a process's start time") }

// DieWithParent does nothing.
func DieWithParent(attr *syscall.SysProcAttr) {}

// SelfExe is not available.
const SelfExe = ""

// NoFollow is no flag here.
const NoFollow = 0

// PidFD does nothing.
func PidFD(attr *syscall.SysProcAttr, fd *int) { *fd = -1 }

// A ProcessFD is a descriptor of another process.
type ProcessFD struct{}

// OpenProcess is not available.
func OpenProcess(pid int) (*ProcessFD, error) { return nil, Unsupported("a descriptor of a process") }

// AsProcess is not available.
func AsProcess(fd int) (*ProcessFD, error) { return nil, Unsupported("a descriptor of a process") }

// Wait is not available.
func (p *ProcessFD) Wait() error { return Unsupported("a descriptor of a process") }

// Close does nothing.
func (p *ProcessFD) Close() {}

// MaxFutexes is the most words that one [FutexWaitAny] takes.
const MaxFutexes = 128

// A FutexWord is a word and the value that it must hold.
type FutexWord struct{}

// Set does nothing.
func (w *FutexWord) Set(word *uint32, val uint32) {}

// FutexWaitAny returns ENOSYS.
func FutexWaitAny(words []FutexWord, d time.Duration) (int, syscall.Errno) { return 0, ENOSYS }

// Blob is not available.
func Blob(parts ...[]byte) (int, error) { return -1, Unsupported("anonymous memory") }

// BlobSize reports false.
func BlobSize(fd int) (size int64, ok bool) { return 0, false }

// ReadAt is not available.
func ReadAt(fd int, b []byte, off int64) error { return Unsupported("a raw descriptor") }

// Remap is not available.
func Remap(mem []byte, fd int) error { return Unsupported("shared memory") }

// DieWithThread is not available.
func DieWithThread() error { return Unsupported("to end with the parent") }

// DupOver is not available.
func DupOver(fd, to int) error { return Unsupported("a raw descriptor") }

// OpenDir is not available.
func OpenDir(path string) (int, error) { return -1, Unsupported("a raw descriptor") }

// ChangeDir is not available.
func ChangeDir(fd int) error { return Unsupported("a raw descriptor") }

// ThreadChildren is not available.
func ThreadChildren() ([]int, error) { return nil, Unsupported("a list of children") }

// KillChild is not available.
func KillChild(pid int) error { return Unsupported("to kill a child") }

// WipedPage is not available.
func WipedPage() ([]byte, error) { return nil, Unsupported("memory that a fork wipes") }
