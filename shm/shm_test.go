package shm_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/fb2d3dbd/multiproc/futex"
	"github.com/fb2d3dbd/multiproc/shm"
)

func TestQuick(t *testing.T) {
	s, err := shm.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := shm.NewValue(s, 42.5)
	if err != nil {
		t.Fatal(err)
	}
	if x, err := v.Load(); x != 42.5 || err != nil {
		t.Fatal(x, err)
	}
	ref, _ := s.Alloc(shm.KindMutex, 4)
	mem, err := s.At(ref, shm.KindMutex)
	if err != nil {
		t.Fatal(err)
	}
	m, _ := futex.NewMutex(mem, s)
	if err := m.Lock(context.Background()); err != nil {
		t.Fatal(err)
	}
	m.Unlock()
	s.Close()
	if _, err := v.Load(); !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
	if err := m.Lock(context.Background()); !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
}

func BenchmarkLock(b *testing.B) {
	s, _ := shm.New(nil)
	defer s.Close()
	ref, _ := s.Alloc(shm.KindMutex, 4)
	mem, _ := s.At(ref, shm.KindMutex)
	m, _ := futex.NewMutex(mem, s)
	ctx := context.Background()
	for b.Loop() {
		m.Lock(ctx)
		m.Unlock()
	}
}
func BenchmarkAdd(b *testing.B) {
	s, _ := shm.New(nil)
	defer s.Close()
	v, _ := shm.NewValue(s, 0)
	for b.Loop() {
		shm.Add(v, 1)
	}
}
