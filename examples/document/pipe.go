package main

import (
	"context"
	"fmt"

	"github.com/fb2d3dbd/multiproc"
)

var sendList = multiproc.NewTarget("send a list", func(ctx context.Context, conn *multiproc.PipeEnd) error {
	if err := conn.Send(ctx, []any{42, nil, "hello"}); err != nil {
		return err
	}
	return conn.Close()
})

func pipe(ctx context.Context) error {
	parentConn, childConn, err := multiproc.Pipe(true)
	if err != nil {
		return err
	}
	p, err := sendList.Start(ctx, childConn, nil)
	if err != nil {
		return err
	}
	v, err := parentConn.Recv(ctx)
	if err != nil {
		return err
	}
	fmt.Println(repr(v)) // prints "[42, None, 'hello']"
	return p.Wait(ctx)
}
