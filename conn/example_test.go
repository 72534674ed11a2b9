package conn_test

import (
	"context"
	"fmt"
	"os"

	"github.com/fb2d3dbd/multiproc/conn"
)

// Two ends, for two goroutines or, when one is sent or is part of the argument of a Start, for two processes.
func ExamplePipe() {
	ctx := context.Background()
	a, b, err := conn.Pipe(true)
	if err != nil {
		panic(err)
	}
	defer a.Close()
	defer b.Close()
	a.Send(ctx, []any{42, nil, "hello"})
	fmt.Println(b.Recv(ctx))
	// Output: [42 <nil> hello] <nil>
}

// A listener and who connects to it prove to each other that they have the key. Over "unix" and "tcp" either can be CPython's multiprocessing.connection.
func ExampleListen() {
	ctx, key := context.Background(), []byte("secret password")
	l, err := conn.Listen("unix", "", &conn.ListenOptions{Key: key})
	if err != nil {
		panic(err)
	}
	defer l.Close()
	go func() {
		c, err := conn.Dial(ctx, "unix", l.Addr().String(), &conn.DialOptions{Key: key})
		if err != nil {
			panic(err)
		}
		defer c.Close()
		c.SendBytes(ctx, []byte("hello"))
	}()
	c, err := l.Accept(ctx)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	b, err := c.RecvBytes(ctx)
	fmt.Println(string(b), err)
	// Output: hello <nil>
}

// An open file goes along with a message, also to a process that is no relative.
func ExampleConn_Send() {
	ctx := context.Background()
	a, b, err := conn.Pipe(true)
	if err != nil {
		panic(err)
	}
	defer a.Close()
	defer b.Close()
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	defer r.Close()
	a.Send(ctx, w)
	w.Close()
	got, err := conn.Recv[*os.File](ctx, b)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(got, "hello")
	got.Close()
	buf := make([]byte, 5)
	r.Read(buf)
	fmt.Println(string(buf))
	// Output: hello
}

func ExampleConn_RecvInto() {
	ctx := context.Background()
	r, w, err := conn.Pipe(false)
	if err != nil {
		panic(err)
	}
	defer r.Close()
	defer w.Close()
	w.SendBytes(ctx, []byte("a long message"))
	_, err = r.RecvInto(ctx, make([]byte, 4))
	fmt.Println(err)
	if short, ok := err.(*conn.TooShortError); ok {
		fmt.Println(string(short.Message))
	}
	// Output:
	// conn: a message of 14 bytes for a buffer of 4
	// a long message
}
