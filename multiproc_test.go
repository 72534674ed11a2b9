package multiproc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
)

func TestMain(m *testing.M) {
	multiproc.Init()
	os.Exit(m.Run())
}

type job struct {
	N     int
	Out   *multiproc.Queue[[]any]
	Sum   *multiproc.Value[int]
	Table *multiproc.Array[float64]
	Mu    *multiproc.Mutex
}

var work = multiproc.NewTarget("work", func(ctx context.Context, j job) error {
	for range j.N {
		if err := j.Sum.Update(ctx, func(x *int) { *x++ }); err != nil {
			return err
		}
	}
	if err := j.Table.Set(1, 2.5); err != nil {
		return err
	}
	return j.Out.Put(ctx, []any{42, nil, "hello"})
})

var boom = multiproc.NewTarget("boom", func(ctx context.Context, how string) error {
	switch how {
	case "error":
		return errors.New("it went wrong")
	case "panic":
		panic("aargh")
	case "gopanic":
		go panic("elsewhere")
		select {}
	case "exit":
		os.Exit(7)
	case "sleep":
		select {}
	}
	return nil
})

func TestSmoke(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	q, err := multiproc.NewQueue[[]any](nil)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := multiproc.NewValue(0)
	a, _ := multiproc.NewArray[float64](3)
	mu, _ := multiproc.NewMutex()
	var ps []*multiproc.Process
	for range 4 {
		p, err := work.Start(ctx, job{1000, q, v, a, mu}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	for range 4 {
		x, err := q.Get(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprintf("%#v", x) != `[]interface {}{42, interface {}(nil), "hello"}` {
			t.Fatalf("%#v", x)
		}
	}
	for _, p := range ps {
		if err := p.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if n, _ := v.Load(); n != 4000 {
		t.Fatal(n)
	}
	for _, how := range []string{"error", "panic", "gopanic", "exit", "ok"} {
		p, err := boom.Start(ctx, how, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(how, p.Wait(ctx))
	}
	p, _ := boom.Start(ctx, "sleep", nil)
	p.Terminate()
	t.Log(p.Wait(ctx))
}

func BenchmarkStart(b *testing.B) {
	ctx := context.Background()
	for b.Loop() {
		p, err := boom.Start(ctx, "ok", nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Wait(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
