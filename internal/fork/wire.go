package fork

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
)

// A request is one message on the zygote's socket: HeaderSize bytes and the data, with the descriptors beside it (SCM_RIGHTS).
//
//	0   magic "fkRQ"
//	4   reserved, 0
//	8   id: the asker's, which every reply repeats
//	16  data
//
// The zygote answers each with one reply, Started or Refused; the child, if there is one, sends another, Ready or Failed, in
// whatever order they come. A child that dies in between sends none.
const HeaderSize = 16

// A reply is one message of ReplySize bytes.
//
//	0   magic "fkRP"
//	4   kind
//	8   id
//	16  pid
//	20  errno
//	24  step
//	28  reserved
const ReplySize = 32

const (
	requestMagic = 0x51526b66
	replyMagic   = 0x50526b66
)

// A Kind of reply.
type Kind uint32

// Kinds.
const (
	Started Kind = 1 + iota // the zygote has made a process: pid
	Refused                 // it has made none: errno and step
	Ready                   // the child is complete, and begins
	Failed                  // the child could not be completed, and ends: errno and step
)

func (k Kind) String() string {
	if k < Started || k > Failed {
		return fmt.Sprintf("Kind(%d)", uint32(k))
	}
	return [...]string{"started", "refused", "ready", "failed"}[k-1]
}

// A Reply is what the asker hears.
type Reply struct {
	Kind  Kind
	ID    uint64
	PID   int // 0 when refused
	Errno syscall.Errno
	Step  string
}

// Err returns the [StepError] that a reply tells, or nil. A Refused one wraps EMSGSIZE where the request was too large or had too many
// descriptors, EBADMSG where it was none, and EINVAL where the kernel refuses CLONE_PARENT, as to the init of a pid namespace.
func (r Reply) Err() error {
	switch r.Kind {
	case Refused:
		return &StepError{Step: r.Step, Err: r.Errno}
	case Failed:
		return &StepError{Step: r.Step, Child: true, Err: r.Errno}
	}
	return nil
}

// AppendRequest appends the message of a request with this id and data.
func AppendRequest(b []byte, id uint64, data []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, requestMagic)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, id)
	return append(b, data...)
}

var errReply = errors.New("fork: not a zygote's reply")

// ParseReply reads a reply.
func ParseReply(b []byte) (Reply, error) {
	if len(b) != ReplySize || binary.LittleEndian.Uint32(b) != replyMagic {
		return Reply{}, errReply
	}
	r := Reply{
		Kind:  Kind(binary.LittleEndian.Uint32(b[4:])),
		ID:    binary.LittleEndian.Uint64(b[8:]),
		PID:   int(int32(binary.LittleEndian.Uint32(b[16:]))),
		Errno: syscall.Errno(binary.LittleEndian.Uint32(b[20:])),
		Step:  step(binary.LittleEndian.Uint32(b[24:])).String(),
	}
	if r.Kind < Started || r.Kind > Failed || r.PID < 0 {
		return Reply{}, errReply
	}
	return r, nil
}
