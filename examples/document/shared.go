package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/shm"
)

// A point is what the document makes a ctypes.Structure for.
type point struct{ X, Y float64 }

type things struct {
	N *multiproc.Value[int]
	X *shm.Value[float64] // lock=False
	S *multiproc.Array[byte]
	A *multiproc.Array[point]
}

var modify = multiproc.NewTarget("modify", func(ctx context.Context, t things) error {
	x, err := t.X.Load()
	return errors.Join(err,
		t.N.Update(ctx, func(n *int) { *n *= *n }),
		t.X.Store(x*x),
		t.S.Update(ctx, func(s []byte) { copy(s, bytes.ToUpper(s)) }),
		t.A.Update(ctx, func(a []point) {
			for i := range a {
				a[i].X *= a[i].X
				a[i].Y *= a[i].Y
			}
		}))
})

// shared is the document's example of sharedctypes: structs, and two arrays under one lock.
func shared(ctx context.Context) error {
	lock, err := multiproc.NewMutex()
	if err != nil {
		return err
	}
	var t things
	if t.N, err = multiproc.NewValue(7); err != nil {
		return err
	}
	if t.X, err = multiproc.NewRawValue(1.0 / 3.0); err != nil {
		return err
	}
	const text = "hello world"
	if t.S, err = multiproc.NewArrayWithLock[byte](len(text), lock); err != nil {
		return err
	}
	if t.A, err = multiproc.NewArrayWithLock[point](3, lock); err != nil {
		return err
	}
	points := []point{{1.875, -6.25}, {-5.75, 2.0}, {2.375, 9.5}}
	if err := errors.Join(t.S.Shared().CopyFrom(0, []byte(text)), t.A.Shared().CopyFrom(0, points)); err != nil {
		return err
	}

	p, err := modify.Start(ctx, t, nil)
	if err != nil {
		return err
	}
	if err := p.Wait(ctx); err != nil {
		return err
	}

	n, err1 := t.N.Load()
	x, err2 := t.X.Load()
	s := make([]byte, len(text))
	_, err3 := t.S.Shared().CopyTo(s, 0)
	fmt.Println(n)
	fmt.Println(repr(x))
	fmt.Println(string(s))
	var all []string
	for _, p := range t.A.All() {
		all = append(all, "("+repr(p.X)+", "+repr(p.Y)+")")
	}
	fmt.Println("[" + strings.Join(all, ", ") + "]")
	return errors.Join(err1, err2, err3)
}
