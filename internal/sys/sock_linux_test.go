package sys

import "testing"

// A message that is sent at the moment at which its receiver looks, and is the last, comes before the end.
func TestLastMessageBeforeEnd(t *testing.T) {
	rounds := 20000
	if testing.Short() {
		rounds = 2000
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
		var room [8]byte
		r, err := ReceiveMessage(a, [][]byte{room[:]}, nil)
		for err == EAGAIN {
			r, err = ReceiveMessage(a, [][]byte{room[:]}, nil)
		}
		if err != nil || r.N != 1 {
			t.Errorf("%d bytes, %v", r.N, err)
		}
		for {
			if r, err = ReceiveMessage(a, [][]byte{room[:]}, nil); err != EAGAIN { // it is not closed yet
				break
			}
		}
		if err != nil || r.N != 0 {
			t.Errorf("at the end: %d bytes, %v", r.N, err)
		}
		CloseFD(a)
	}
}
