package manager

import (
	"errors"

	"github.com/fb2d3dbd/multiproc/internal/failure"
	"github.com/fb2d3dbd/multiproc/pool"
)

// How the errors of a pool's tasks travel, before the results.
const (
	noTaskFailed = iota
	oneTaskFailed
	someTasksFailed
)

// appendPoolError appends what tasks have failed with. An error that is of no task is returned.
func appendPoolError(b []byte, err error) ([]byte, error) {
	if err == nil {
		return append(b, noTaskFailed), nil
	}
	if e, ok := errors.AsType[*pool.MapError](err); ok {
		b = appendUint(append(b, someTasksFailed), len(e.Tasks))
		for _, t := range e.Tasks {
			b = appendTaskError(b, t)
		}
		if b = appendInt(b, e.NotBegun); e.Cause == nil {
			return appendBool(b, false), nil
		}
		return appendCause(appendBool(b, true), e.Cause), nil
	}
	if e, ok := errors.AsType[*pool.TaskError](err); ok {
		return appendTaskError(append(b, oneTaskFailed), e), nil
	}
	return nil, err
}

func appendTaskError(b []byte, e *pool.TaskError) []byte {
	return appendCause(appendInt(appendInt(appendString(b, e.Func), e.Index), e.Attempts), e.Err)
}

// appendCause appends an error, and whether it is one that has come from a worker.
func appendCause(b []byte, err error) []byte {
	_, remote := err.(*failure.Error)
	return appendBytes(appendBool(b, remote), failure.Of(err).Append(nil))
}

// poolError reads what appendPoolError wrote.
func (r *reader) poolError() error {
	switch r.byte() {
	case noTaskFailed:
		if r.bad {
			return r.err()
		}
		return nil
	case oneTaskFailed:
		return r.taskError()
	}
	e := &pool.MapError{}
	for n := r.uint(); n > 0 && !r.bad; n-- {
		e.Tasks = append(e.Tasks, r.taskError())
	}
	if e.NotBegun = r.int(); r.bool() {
		e.Cause = r.cause()
	}
	if r.bad {
		return r.err()
	}
	return e
}

func (r *reader) taskError() *pool.TaskError {
	return &pool.TaskError{Func: r.string(), Index: r.int(), Attempts: r.int(), Err: r.cause()}
}

// cause reads an error: the one itself if it could travel, and else what is known of it.
func (r *reader) cause() error {
	remote := r.bool()
	e, err := failure.From(r.bytes())
	switch {
	case err != nil:
		return refuse(ErrProtocol, "%v", err)
	case !remote && e.Err != nil && failure.Text(e.Err) == e.Text:
		return e.Err
	}
	return e
}
