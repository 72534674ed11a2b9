package conn_test

import "github.com/fb2d3dbd/multiproc/internal/fault"

// arm sets what happens at which crash point.
func arm(order string) error {
	if order == "" {
		return nil
	}
	return fault.Arm(order)
}
