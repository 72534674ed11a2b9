package futex

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// word returns the 32-bit word that mem begins with.
func word(mem []byte, what string) (*uint32, error) {
	if len(mem) < 4 {
		return nil, fmt.Errorf("%s: the memory has %d bytes, need 4", what, len(mem))
	}
	p := unsafe.Pointer(unsafe.SliceData(mem))
	if uintptr(p)&3 != 0 {
		return nil, fmt.Errorf("%s: the memory must begin at a multiple of 4 bytes", what)
	}
	return (*uint32)(p), nil
}

// lockWords are the words of a mutex, at a multiple of 8 bytes.
type lockWords struct{ word, mode uint32 }

// wordsOfLock returns the two words that mem begins with.
func wordsOfLock(mem []byte, what string) (*lockWords, error) {
	if len(mem) < MutexSize {
		return nil, fmt.Errorf("%s: the memory has %d bytes, need %d", what, len(mem), MutexSize)
	}
	p := unsafe.Pointer(unsafe.SliceData(mem))
	if uintptr(p)&7 != 0 {
		return nil, fmt.Errorf("%s: the memory must begin at a multiple of 8 bytes", what)
	}
	return (*lockWords)(p), nil
}

// swap exchanges both words in one step, if they are what they are thought to be.
func (l *lockWords) swap(word, mode, nextWord, nextMode uint32) bool {
	old, next := lockWords{word, mode}, lockWords{nextWord, nextMode}
	return atomic.CompareAndSwapUint64((*uint64)(unsafe.Pointer(l)), *(*uint64)(unsafe.Pointer(&old)), *(*uint64)(unsafe.Pointer(&next)))
}
