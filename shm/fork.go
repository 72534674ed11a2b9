package shm

import (
	"errors"
	"fmt"

	"github.com/fb2d3dbd/multiproc/internal/life"
	"github.com/fb2d3dbd/multiproc/internal/owner"
	"github.com/fb2d3dbd/multiproc/internal/sys"
)

func init() { life.OnFork(life.Memory, rejoinAll) }

// rejoinAll makes the child of a fork a participant of its own in every segment that its parent had open. What it has inherited are the parent's file
// descriptions, and with them the parent's locks on bytes: as long as one descriptor or one mapping of them were left here, the parent would look alive
// after its death.
func rejoinAll() error {
	openMu.Lock()
	all := make([]*Segment, 0, len(openAll))
	for s := range openAll {
		all = append(all, s)
	}
	openMu.Unlock()
	var errs []error
	for _, s := range all {
		if err := s.rejoin(); err != nil {
			errs = append(errs, fmt.Errorf("shm: join segment %#x after a fork: %w", s.id, err))
		}
	}
	return errors.Join(errs...)
}

// rejoin opens a description of the segment's file anew, maps it in the place of the parent's, and joins. The token changes last: until then nothing
// here may write in the name of either. The parent's byte is not unlocked, only let go: the lock is the description's, which the parent still has.
//
// If it fails the segment is closed in this process.
func (s *Segment) rejoin() error {
	s.table.CloseWatches()
	s.token.Store(0)
	parents := s.fd
	defer sys.CloseFD(parents)
	fd, err := sys.Reopen(parents)
	if err != nil {
		return errors.Join(err, s.abandon())
	}
	if err := sys.Remap(s.mem, fd); err != nil {
		return errors.Join(err, sys.CloseFD(fd), s.abandon())
	}
	table, err := owner.NewTable(s.mem[tableOff:], s.lay.participants, fd, tableOff)
	var tok uint32
	if err == nil {
		tok, err = table.Join()
	}
	if err != nil {
		return errors.Join(err, s.abandon(), sys.CloseFD(fd))
	}
	s.fd, s.table = fd, table
	s.token.Store(tok)
	if parents := s.label; parents != nil {
		s.label = nil
		s.relabel() // before the parent's byte is let go: the name may be kept by nobody else
		return sys.CloseFD(parents.fd)
	}
	return nil
}

// abandon gives the mapping up.
func (s *Segment) abandon() error {
	forget(s)
	if s.label != nil {
		sys.CloseFD(s.label.fd)
		s.label = nil
	}
	return sys.Detach(s.mem)
}
