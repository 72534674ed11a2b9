//go:build !unix

package bench

import "errors"

func socketMissing() string { return "this system has no pairs of unix sockets" }

func newSocketPair(int, bool) (*link, error) { return nil, errors.ErrUnsupported }
