package bench

import (
	"context"
	"fmt"
	"time"
)

// execStart starts this executable by os/exec, as a program that ends before its main.
func execStart() Impl {
	return kernelImpl("exec", nil, func(ctx context.Context, n int) (time.Duration, error) {
		var elapsed time.Duration
		for range n {
			cmd, err := helperCommand(ctx, helperExit)
			if err != nil {
				return 0, err
			}
			begin := time.Now()
			err = cmd.Run()
			elapsed += time.Since(begin)
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
			if err != nil {
				return 0, fmt.Errorf("run this executable: %w", err)
			}
		}
		return elapsed, nil
	})
}
