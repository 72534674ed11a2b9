package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// ask asks for the records with the given keys and checks the answers. When a third of them is there it kills the server of the last one.
func (s *service) ask(ctx context.Context, keys []uint64) error {
	ctx, cancel := context.WithCancelCause(ctx) // the cause: what went wrong with the asking
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel(nil)
	asking.Go(func() {
		for id, key := range keys {
			if err := s.requests.Put(ctx, request{id, key}); err != nil {
				cancel(err)
				return
			}
		}
	})
	answered := make([]bool, len(keys))
	for n := 0; n < len(keys); {
		a, err := s.answers.Get(ctx)
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		if !a.Found || a.Value != valueOf(keys[a.ID]) {
			return fmt.Errorf("server %d says %d of key %d", a.PID, a.Value, keys[a.ID])
		}
		if answered[a.ID] {
			continue // by one that was killed before it could acknowledge the request, and by another
		}
		answered[a.ID] = true
		if n++; n == (len(keys)+2)/3 {
			if err := s.kill(a.PID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *service) kill(pid int) error {
	for _, p := range s.running() {
		if p.PID() == pid {
			return p.Kill()
		}
	}
	return fmt.Errorf("there is no server %d", pid)
}

// someKeys returns keys of records all over an index.
func someKeys(n, records int) []uint64 {
	keys := make([]uint64, n)
	for i := range keys {
		keys[i] = keyOf(i * 7_919 % records)
	}
	return keys
}
