package sys

import (
	"runtime"
	"testing"
)

// A message that is sent at the moment at which its receiver looks, and is the last, comes before the end.
func TestLastMessageBeforeEnd(t *testing.T) {
	rounds := 5000
	if testing.Short() {
		rounds = 500
	}
	peers := make(chan int, 1)
	go func() {
		for fd := range peers {
			if _, err := SendMessage(fd, [][]byte{{1}}, nil); err != nil {
				t.Error(err)
			}
			CloseFD(fd)
		}
	}()
	defer close(peers)
	for range rounds {
		a, b, err := SocketPair(true)
		if err != nil {
			t.Fatal(err)
		}
		peers <- b
		if n, err := receiveOne(a); err != nil || n != 1 {
			t.Errorf("%d bytes, %v", n, err)
		}
		if n, err := receiveOne(a); err != nil || n != 0 {
			t.Errorf("at the end: %d bytes, %v", n, err)
		}
		CloseFD(a)
	}
}

// receiveOne asks until there is something, or the end. It must not sleep: what is tested shows while the sender is at work on another CPU.
func receiveOne(fd int) (int, error) {
	var room [8]byte
	for tries := 1; ; tries++ {
		if r, err := ReceiveMessage(fd, [][]byte{room[:]}, nil); err != EAGAIN {
			return r.N, err
		}
		if tries%100 == 0 {
			runtime.Gosched() // the sender may have no CPU but this one
		}
	}
}
