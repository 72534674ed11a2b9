//go:build !unix

package pool_test

import "errors"

func stopSelf() error { return errors.ErrUnsupported }
