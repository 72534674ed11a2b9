package conn_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/fb2d3dbd/multiproc/conn"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// check fails the test unless err is nil.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want fails the test unless err matches target.
func want(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("got error %v, want one that matches %v", err, target)
	}
}

// must is for what a test needs and does not test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// pattern returns n bytes that are not all alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8*13 + i>>16)
	}
	return b
}

func same(t testing.TB, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes %.20x..., want %d bytes %.20x...", len(got), got, len(want), want)
	}
}

// A maker makes the two ends of a connection of one kind.
type maker struct {
	name string
	make func(t testing.TB) (a, b *conn.Conn)
}

// kinds returns every kind of connection there is.
func kinds(t testing.TB) []maker {
	return []maker{
		{"packets", packets},
		{"stream", streams},
		{"tcp", tcp},
		{"tls", overTLS},
	}
}

func each(t *testing.T, test func(t *testing.T, a, b *conn.Conn)) {
	for _, k := range kinds(t) {
		t.Run(k.name, func(t *testing.T) {
			a, b := k.make(t)
			t.Cleanup(func() {
				check(t, a.Close())
				check(t, b.Close())
			})
			test(t, a, b)
		})
	}
}
