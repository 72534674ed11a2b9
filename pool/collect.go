package pool

import (
	"errors"
	"fmt"

	"github.com/fb2d3dbd/multiproc/internal/failure"
	"github.com/fb2d3dbd/multiproc/ringbuf"
)

const (
	batchMessages = 32
	batchBytes    = 1 << 20
)

// A settled task has its result, and not yet told of it.
type settled struct {
	job   *job
	slot  uint32
	index int
	tries int
	kind  byte
	b     []byte
	err   error
}

// collect takes results until the pool ends. It alone settles tasks that have begun.
func (e *engine) collect() {
	var msgs [][]byte
	var buf []byte
	for {
		var err error
		if msgs, buf, err = e.batch(msgs[:0], buf[:0]); err != nil {
			if e.life.Err() == nil {
				e.abandon(fmt.Errorf("pool: the queue of results: %w", err))
			}
			return
		}
		for len(msgs) > 0 {
			n := e.results1(msgs)
			msgs = msgs[n:]
		}
		if cap(buf) > 4*batchBytes {
			buf = nil
		}
	}
}

// batch waits for a result and returns it with those that follow.
func (e *engine) batch(msgs [][]byte, buf []byte) ([][]byte, []byte, error) {
	buf, err := e.results.Get(e.life, buf)
	if err != nil {
		return nil, buf, err
	}
	ends := make([]int, 1, batchMessages)
	ends[0] = len(buf)
	for len(ends) < batchMessages && len(buf) < batchBytes {
		if buf, err = e.results.TryGet(buf); err == ringbuf.ErrEmpty {
			break
		} else if err != nil {
			return nil, buf, err
		}
		ends = append(ends, len(buf))
	}
	from := 0
	for _, end := range ends {
		msgs = append(msgs, buf[from:end:end])
		from = end
	}
	return msgs, buf, nil
}

// results1 settles messages up to a notice of death, or all, and returns how many it was.
func (e *engine) results1(msgs [][]byte) int {
	list := e.list[:0]
	n, dead := 0, -1
	var incarnation uint32
	e.mu.Lock()
	for _, m := range msgs {
		n++
		h, value, err := resultOf(m)
		if err != nil {
			continue // who put it put no result; the task's worker will be found dead
		}
		if h.kind == isDeath {
			dead, incarnation = int(h.worker), h.seq
			break
		}
		if h.measured > 0 {
			e.measured(float64(h.cost) / float64(h.measured))
		}
		if h.kind != isBatch {
			list = e.settle(list, h.slot, h.seq, h.kind, value)
			continue
		}
		for {
			slot, seq, v, rest, ok := batchNext(value)
			if !ok {
				break
			}
			list, value = e.settle(list, slot, seq, isValue, v), rest
		}
	}
	e.mu.Unlock()
	e.tell(list)
	clear(list) // it keeps no call alive
	e.list = list[:0]
	if dead >= 0 {
		e.mourn(dead, incarnation)
	}
	return n
}

// settle adds a result to the list of those that are to be told of, if nobody has told of its task, with e.mu held. Of a task there may come several:
// what stands in a chunk is put again by who gets the chunk after a death.
func (e *engine) settle(list []settled, k, seq uint32, kind byte, value []byte) []settled {
	if int(k) >= len(e.slots) {
		return list
	}
	s := &e.slots[k]
	if s.job == nil || s.index < 0 || s.seq != seq {
		return list
	}
	l := e.lose(k, nil)
	l.kind, l.b = kind, value
	return append(list, l)
}

// measured notes the cost of a task in nanoseconds, with e.mu held.
func (e *engine) measured(ns float64) {
	if ns = max(ns, 1); e.cost == 0 {
		e.cost = ns
	} else {
		e.cost += (ns - e.cost) / 4
	}
}

// tell delivers results and gives the slots back.
func (e *engine) tell(list []settled) {
	if len(list) == 0 {
		return
	}
	for i := range list {
		s := &list[i]
		switch s.kind {
		case isValue:
			if err := s.job.sink.value(s.index, s.b); err != nil {
				s.err = fmt.Errorf("%w: result: %w", ErrEncoding, err)
			}
		case isFailure:
			if e, err := failure.From(s.b); err == nil {
				s.err = e
			} else {
				s.err = fmt.Errorf("pool: %w", err)
			}
		case isUnsent:
			s.err = fmt.Errorf("%w: result: %s", ErrEncoding, s.b)
		case isUnread:
			s.err = fmt.Errorf("%w: argument: %s", ErrEncoding, s.b)
		case isDeath: // of the worker that had it in hand, or taken back
		default:
			s.err = fmt.Errorf("%w: a result of kind %d", ErrCorrupt, s.kind)
		}
		if s.err != nil {
			s.job.fail(s.index, s.tries, s.err)
		}
	}
	var over []*job
	e.mu.Lock()
	for i := range list {
		s := &list[i]
		e.slots[s.slot] = slot{seq: e.slots[s.slot].seq}
		e.free = append(e.free, s.slot)
		if s.job.ends(1) {
			over = append(over, s.job)
		}
	}
	if len(e.wants) > 0 {
		e.grant()
	}
	e.mu.Unlock()
	for _, j := range over {
		j.over()
	}
}

// mourn settles what a dead worker had in hand, and fills its place. Everything that it had put was taken before.
func (e *engine) mourn(at int, incarnation uint32) {
	if at >= len(e.crew) {
		return
	}
	var lost []settled
	var again []uint32
	e.mu.Lock()
	p := &e.crew[at]
	if p.incarnation != incarnation {
		e.mu.Unlock()
		return
	}
	for i := range e.slots {
		s := &e.slots[i]
		if s.job == nil || s.index < 0 {
			continue
		}
		w := e.board.task(uint32(i))
		if w.seq() != s.seq || int(w.worker()) != at || w.state() != running && w.state() != done && w.state() != condemned {
			continue
		}
		s.tries++
		if s.verdict == nil && s.tries <= s.job.opts.Retries && s.job.ctx.Err() == nil && s.arg != nil {
			again = append(again, uint32(i))
			continue
		}
		err := s.verdict
		switch {
		case err != nil:
		case s.job.ctx.Err() != nil:
			err = errors.Join(s.job.ctx.Err(), p.died)
		default:
			err = p.died
		}
		lost = append(lost, e.lose(uint32(i), err))
	}
	for _, k := range again {
		e.requeue(k)
	}
	e.mu.Unlock()
	e.tell(lost)
	e.refill(at)
}

// requeue hands a task out once more, with e.mu held.
func (e *engine) requeue(k uint32) {
	s := &e.slots[k]
	s.seq++
	e.stats.Retried++
	e.board.set(k, makeTask(s.seq, 0, 0, queued))
	msg := make([]byte, chunkHead+chunkEntry+len(s.arg))
	putChunkHead(msg, chunkHeader{tasks: 1, deadline: s.job.deadline, timeout: int64(s.job.opts.Timeout), batch: 1})
	putChunkEntry(msg, 0, k, s.seq, len(s.arg))
	copy(msg[chunkHead+chunkEntry:], s.arg)
	j, c := s.job, claim{k, s.seq}
	e.work.Go(func() { // not here: the queue may be full, and who empties it may wait for the collector
		if err := e.tasks.Put(e.life, msg); err != nil && e.life.Err() == nil {
			e.withdraw(j, []claim{c}, err)
		}
	})
}
