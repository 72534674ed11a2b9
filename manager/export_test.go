package manager

import "context"

// GetUnconfirmed takes values from a queue, and does not say that it has them.
func GetUnconfirmed[T any](ctx context.Context, q *Queue[T], limit int) error {
	x, err := q.r.request(opGet)
	if err != nil {
		return err
	}
	defer x.release()
	x.b = appendUint(appendBool(x.b, false), limit)
	_, err = q.r.do(ctx, x)
	return err
}
