package torture

import "unsafe"

// wordsOf views memory that begins at a multiple of 8 bytes as words.
func wordsOf(mem []byte) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)/8)
}
