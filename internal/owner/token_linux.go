//go:build linux && !race

package owner

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/fb2d3dbd/multiproc/internal/sys"
)

// tokens are words in pages that the kernel makes zeros in the child of a fork, at the very moment that the child exists.
var tokens struct {
	sync.Mutex
	page []byte
	free []*atomic.Uint32
}

// NewToken returns a word for this process's own token, 0 at first. In the child of a fork it is 0 again before anything can run there: what other
// goroutines of the parent were about to do in its name, their copies cannot.
func NewToken() *atomic.Uint32 {
	tokens.Lock()
	defer tokens.Unlock()
	if n := len(tokens.free); n > 0 {
		w := tokens.free[n-1]
		tokens.free = tokens.free[:n-1]
		return w
	}
	const size = int(unsafe.Sizeof(atomic.Uint32{}))
	if len(tokens.page) < size {
		page, err := sys.WipedPage()
		if err != nil { // a kernel before 4.14: a fork has to do without
			return new(atomic.Uint32)
		}
		tokens.page = page
	}
	w := (*atomic.Uint32)(unsafe.Pointer(&tokens.page[0]))
	tokens.page = tokens.page[size:]
	return w
}

// FreeToken gives a word back that nobody can look at any more.
func FreeToken(w *atomic.Uint32) {
	tokens.Lock()
	defer tokens.Unlock()
	w.Store(0)
	tokens.free = append(tokens.free, w)
}
