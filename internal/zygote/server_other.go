//go:build !linux

package zygote

import (
	"context"

	"github.com/fb2d3dbd/multiproc/internal/child"
)

// Start is not available.
func Start(ctx context.Context, call *child.Call, o *child.Options) (*child.Process, error) {
	if err := child.Check(ctx); err != nil {
		return nil, err
	}
	return nil, Available()
}

// EnsureRunning is not available.
func EnsureRunning(ctx context.Context) error { return Available() }

// Configure does nothing.
func Configure(c Config) {}

// Stop does nothing.
func Stop() error { return nil }
