//go:build linux || darwin

package ringbuf_test

import (
	"os"
	"syscall"
	"testing"
)

// unwatched says that the race detector does not watch what guarded returns.
const unwatched = true

// guarded returns zeroed memory that ends where reading or writing on is a fault, and begins behind such a place by less
// than a page.
func guarded(t testing.TB, size int) []byte {
	t.Helper()
	page := os.Getpagesize()
	body := (size + page - 1) &^ (page - 1)
	all, err := syscall.Mmap(-1, 0, body+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	ok(t, err)
	t.Cleanup(func() { _ = syscall.Munmap(all) })
	ok(t, syscall.Mprotect(all[:page], syscall.PROT_NONE))
	ok(t, syscall.Mprotect(all[page+body:], syscall.PROT_NONE))
	return all[page+body-size:][:size:size]
}
