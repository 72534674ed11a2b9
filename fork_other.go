//go:build !unix

package multiproc

import "context"

// ForkFunc is not available: the error matches errors.ErrUnsupported.
func ForkFunc(ctx context.Context, fn func(ctx context.Context) error, o *ProcessOptions) (*Process, error) {
	return nil, Fork.Available()
}

func forkProcess(ctx context.Context, name string, run func(ctx context.Context) error, o *ProcessOptions) (*Process, error) {
	return nil, Fork.Available()
}
