package fork_test

import (
	"encoding/binary"
	"errors"
	"syscall"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/fork"
)

func TestWire(t *testing.T) {
	if b := fork.AppendRequest([]byte("x"), 7, []byte("data")); string(b[:5]) != "xfkRQ" || len(b) != 1+fork.HeaderSize+4 || string(b[17:]) != "data" {
		t.Errorf("request %q", b)
	}
	reply := func(kind, pid, errno, step uint32) []byte {
		b := make([]byte, fork.ReplySize)
		copy(b, "fkRP")
		for i, v := range []uint32{kind, 9, 1, pid, errno, step} {
			binary.LittleEndian.PutUint32(b[4+4*i:], v)
		}
		return b
	}
	r, err := fork.ParseReply(reply(2, 0, uint32(syscall.EINVAL), 13))
	var step *fork.StepError
	if err != nil || r.ID != 1<<32|9 || r.Kind != fork.Refused || !errors.Is(r.Err(), syscall.EINVAL) || !errors.As(r.Err(), &step) || step.Child {
		t.Errorf("%+v, %v, %v", r, err, r.Err())
	}
	if r, err := fork.ParseReply(reply(4, 5, uint32(syscall.EMFILE), 1000)); err != nil || !errors.As(r.Err(), &step) || !step.Child || r.PID != 5 {
		t.Errorf("%+v, %v, %v", r, err, r.Err())
	}
	if r, err := fork.ParseReply(reply(3, 5, 0, 0)); err != nil || r.Err() != nil || r.Kind.String() != "ready" {
		t.Errorf("%+v, %v, %v", r, err, r.Err())
	}
	for _, bad := range [][]byte{nil, reply(0, 1, 0, 0), reply(5, 1, 0, 0), reply(1, 1<<31, 0, 0), reply(1, 1, 0, 0)[:31], append(reply(1, 1, 0, 0), 0), make([]byte, 32)} {
		if r, err := fork.ParseReply(bad); err == nil {
			t.Errorf("%q was taken for %+v", bad, r)
		}
	}
}
