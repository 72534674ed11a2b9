package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/fb2d3dbd/multiproc/pool"
)

// A request names a plug-in, and has what it is to work on.
type request struct {
	Plugin, Input string
}

// plugin runs in a worker.
var plugin = pool.NewFunc("plugin", func(ctx context.Context, r request) (string, error) {
	return plugins[r.Plugin](ctx, r.Input)
})

var errUnknown = errors.New("no such plug-in")

// A service runs plug-ins in processes of their own.
type service struct {
	pool *pool.Pool[request, string]
}

func newService(workers int, timeout time.Duration) (*service, error) {
	p, err := pool.New(plugin, &pool.Options{
		Workers:     workers,
		MemoryLimit: 256 << 20,
		Grace:       time.Second, // after the time is over, for a plug-in that looks at its context
	})
	if err != nil {
		return nil, err
	}
	return &service{p.With(&pool.CallOptions{Timeout: timeout})}, nil
}

func (s *service) close() error { return s.pool.Terminate() }

// names returns the names of all plug-ins, sorted.
func (s *service) names() []string { return slices.Sorted(maps.Keys(plugins)) }

// call runs a plug-in and returns what it returned, or what went wrong with it.
func (s *service) call(ctx context.Context, r request) (string, error) {
	if plugins[r.Plugin] == nil {
		return "", fmt.Errorf("%w: %q", errUnknown, r.Plugin)
	}
	return s.pool.Apply(ctx, r)
}

// inputLimit is the most bytes that a request may have.
const inputLimit = 1 << 20

// handler serves POST /plugins/{name}, with the input as the request's body.
func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /plugins/{name}", func(w http.ResponseWriter, r *http.Request) {
		input, err := io.ReadAll(http.MaxBytesReader(w, r.Body, inputLimit))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer, err := s.call(r.Context(), request{r.PathValue("name"), string(input)})
		if err != nil {
			http.Error(w, err.Error(), status(err))
			return
		}
		_, _ = io.WriteString(w, answer) // who has gone does not read it
	})
	return mux
}

// status tells a fault of the caller from one of the plug-in, and both from the end of the service.
func status(err error) int {
	var remote *pool.RemoteError
	switch {
	case errors.Is(err, errUnknown):
		return http.StatusNotFound
	case errors.Is(err, pool.ErrClosed), errors.Is(err, pool.ErrTerminated):
		return http.StatusServiceUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	case errors.As(err, &remote) && !remote.Panic:
		return http.StatusUnprocessableEntity // what the plug-in says of its input
	default:
		return http.StatusBadGateway // it panicked, or its process died
	}
}
