package zygote

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// A preload is a registered function.
type preload struct {
	name string
	fn   func() error
}

var (
	preloadMu sync.Mutex
	preloads  []preload
)

// Preload has every zygote run fn once, before it is copied, in the order of registration. It is called in package-level variables or init functions; a second
// registration of a name panics. An error, a panic, or that it takes longer than Config.Limit, is told by the Start that needed the zygote,
// as a [PreloadError].
//
// When fn returns, the goroutines that it has started must have ended: a copy would go on with them. The zygote has one processor (GOMAXPROCS=1),
// its children as many as any process.
func Preload(name string, fn func() error) {
	preloadMu.Lock()
	defer preloadMu.Unlock()
	if name == "" {
		panic("forkserver: a preload function needs a name")
	}
	for _, p := range preloads {
		if p.name == name {
			panic(fmt.Sprintf("forkserver: two preload functions are registered under the name %q", name))
		}
	}
	preloads = append(preloads, preload{name, fn})
}

// run runs the function for at most limit. It has a goroutine of its own: if it hangs, its stack is the answer.
func (p preload) run(limit time.Duration) *PreloadError {
	result := make(chan *PreloadError, 1)
	begun := make(chan struct{})
	go func() { close(begun); p.call(result) }()
	<-begun // so that there is a stack, however long the process was stopped
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case err := <-result:
		return err
	case <-late.C:
		return &PreloadError{Name: p.name, Text: fmt.Sprintf("it has not returned within %v", limit), Stack: stackOf("zygote.preload.call(")}
	}
}

func (p preload) call(result chan<- *PreloadError) {
	ended := false
	defer func() {
		if v := recover(); v != nil {
			result <- &PreloadError{Name: p.name, Text: fmt.Sprintf("panic: %v", v), Stack: string(debug.Stack())}
		} else if !ended {
			result <- &PreloadError{Name: p.name, Text: "it called runtime.Goexit"}
		}
	}()
	err := p.fn()
	ended = true
	if err != nil {
		result <- &PreloadError{Name: p.name, Text: err.Error()}
		return
	}
	result <- nil
}

// stackOf returns the stack of the goroutine that runs a function.
func stackOf(function string) string {
	buf := make([]byte, 1<<20)
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, function) {
			return g
		}
	}
	return ""
}
