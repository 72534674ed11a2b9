package conn

import (
	"context"
	"os"
	"sync"
	"time"
)

// A side is one direction of a Conn. Whoever has to wait on it holds its turn, so that a deadline that is set to interrupt somebody
// interrupts nobody else.
type side struct {
	turn  chan struct{}
	done  <-chan struct{} // closed with the Conn
	l     link
	apply func(t time.Time) error
	write bool
	whole bool  // a step is a whole message, so that a try needs no turn
	err   error // why nothing more can pass; guarded by the turn

	mu          sync.Mutex
	deadline    time.Time // the user's
	interrupted bool      // the link's is in the past now
}

func (s *side) init(l link, apply func(t time.Time) error, has bool, done <-chan struct{}) {
	s.turn, s.done, s.l, s.apply = make(chan struct{}, 1), done, l, apply
	if !has {
		s.err = ErrOneWay
	}
}

// take gets the turn, waiting for it until ctx ends.
func (s *side) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-s.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *side) leave() { <-s.turn }

// do brings o to its end, or to that of ctx or the deadline.
func (s *side) do(ctx context.Context, o op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.late() {
		return os.ErrDeadlineExceeded
	}
	if s.whole && len(s.turn) == 0 { // nobody waits who would be overtaken
		if err := s.l.try(o); err != errWait {
			return err
		}
	}
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.leave()
	return s.held(ctx, o)
}

// held is do for whoever has the turn.
func (s *side) held(ctx context.Context, o op) error {
	if s.err != nil {
		return s.err
	}
	if err := s.l.try(o); err != errWait {
		return err
	}
	if ctx.Done() == nil {
		return s.l.run(o, s.write)
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		s.interrupt(true)
		close(ended)
	})
	err := s.l.run(o, s.write)
	if !stop() {
		<-ended
		s.interrupt(false)
	}
	if err == os.ErrDeadlineExceeded && ctx.Err() != nil {
		err = ctx.Err()
	}
	return err
}

// try does what of o can be done without a wait.
func (s *side) try(o op) error {
	if s.whole {
		return s.l.try(o)
	}
	select {
	case s.turn <- struct{}{}:
	default:
		select {
		case <-s.done:
			return ErrClosed
		default:
			return errWait
		}
	}
	defer s.leave()
	if s.err != nil {
		return s.err
	}
	return s.attempt(o)
}

// patience is how long a try waits on a link that cannot tell whether it would wait.
const patience = time.Millisecond

// attempt is try for whoever has the turn.
func (s *side) attempt(o op) error {
	if _, ok := s.l.(*netLink); !ok || s.write {
		return s.l.try(o)
	}
	s.mu.Lock()
	s.interrupted = true
	err := s.apply(time.Now().Add(patience))
	s.mu.Unlock()
	if err == nil {
		err = s.l.run(o, s.write)
	}
	s.interrupt(false)
	if err = outcome(err); err == os.ErrDeadlineExceeded {
		err = errWait
	}
	return err
}

// past is a deadline for those who wait.
var past = time.Unix(1, 0)

func (s *side) interrupt(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.deadline
	if s.interrupted = on; on {
		t = past
	}
	_ = s.apply(t) // it was closed, then, and nobody waits
}

func (s *side) setDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	if s.interrupted {
		return nil
	}
	return outcome(s.apply(t))
}

func (s *side) late() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.deadline.IsZero() && !time.Now().Before(s.deadline)
}
