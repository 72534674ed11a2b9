package shm_test

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

// createNamed makes a named segment that is a file and closes it; the file stays until the end of the test.
func createNamed(t testing.TB, o *shm.Options) (name, path string) {
	t.Helper()
	name = proctest.SegmentName(t)
	o.Keep = true
	s, err := shm.Create(name, o)
	ok(t, err)
	ok(t, s.Close())
	t.Cleanup(func() { _ = shm.Unlink(name) })
	return name, "/dev/shm/multiproc-" + name
}

func TestNamed(t *testing.T) {
	for _, keep := range []bool{false, true} {
		named(t, &shm.Options{Size: 100, Arena: 4096, Participants: 3, Keep: keep})
	}
}

func named(t *testing.T, o *shm.Options) {
	name := proctest.SegmentName(t)
	_, err := shm.Open(name)
	wantErr(t, err, os.ErrNotExist)
	wantErr(t, shm.Unlink(name), os.ErrNotExist)
	s, err := shm.Create(name, o)
	ok(t, err)
	_, err = shm.Create(name, o)
	wantErr(t, err, os.ErrExist)
	copy(s.Bytes(), "hello")
	other, err := shm.Open(name)
	ok(t, err)
	if s.ID() != other.ID() || other.Name() != name || string(other.Bytes()[:5]) != "hello" || len(other.Bytes()) != 100 {
		t.Error("Open has found another segment")
	}
	third, err := shm.OpenOrCreate(name, o)
	ok(t, err)
	_, err = shm.Open(name)
	wantErr(t, err, shm.ErrTooMany)
	ok(t, third.Close())
	if _, err := shm.OpenOrCreate(name, &shm.Options{Size: 101, Arena: 4096, Participants: 3}); err == nil || !strings.Contains(err.Error(), "101") {
		t.Errorf("other sizes: %v", err)
	}
	ok(t, shm.Unlink(name))
	_, err = shm.Open(name)
	wantErr(t, err, os.ErrNotExist)
	other.Bytes()[0] = 'j'
	if s.Bytes()[0] != 'j' {
		t.Error("without its name the segment is not shared any more")
	}
	ok(t, errors.Join(s.Close(), other.Close()))
	for _, bad := range []string{"", "a/b", "..\x00", strings.Repeat("x", 201)} {
		_, e1 := shm.Create(bad, nil)
		_, e2 := shm.Open(bad)
		if e1 == nil || e2 == nil || shm.Unlink(bad) == nil {
			t.Errorf("%q is taken for a name", bad)
		}
	}
	for _, bad := range []*shm.Options{{Size: -1}, {Arena: -1}, {Participants: -1}, {Participants: 4095}, {Size: 1 << 62}, {Size: 1 << 44}, {Size: 1 << 44, Keep: true}} {
		if _, err := shm.Create(proctest.SegmentName(t), bad); err == nil {
			t.Errorf("a named segment was made with %+v", bad)
		}
		if _, err := shm.New(bad); err == nil {
			t.Errorf("a segment was made with %+v", bad)
		}
	}
}

// Files that are no segments, or damaged ones, are refused by name.
func TestDamagedFiles(t *testing.T) {
	put := func(off int, v uint64) func([]byte) []byte {
		return func(b []byte) []byte { binary.NativeEndian.PutUint64(b[off:], v); return b }
	}
	for what, c := range map[string]struct {
		damage func([]byte) []byte
		want   error
	}{
		"empty":             {func(b []byte) []byte { return nil }, shm.ErrForeign},
		"short":             {func(b []byte) []byte { return b[:100] }, shm.ErrForeign},
		"truncated":         {func(b []byte) []byte { return b[:len(b)-4096] }, shm.ErrCorrupt},
		"foreign":           {func(b []byte) []byte { return []byte(strings.Repeat("something else", 1000)) }, shm.ErrForeign},
		"zeros":             {func(b []byte) []byte { clear(b); return b }, shm.ErrForeign},
		"another version":   {func(b []byte) []byte { b[8]++; return b }, shm.ErrForeign},
		"other words":       {func(b []byte) []byte { b[10] ^= 0x60; return b }, shm.ErrForeign},
		"size":              {put(16, 1<<40), shm.ErrCorrupt},
		"check sum":         {put(24, 0), shm.ErrCorrupt},
		"no participants":   {put(40, 0), shm.ErrCorrupt},
		"many participants": {put(40, 1<<63), shm.ErrCorrupt},
		"user bytes":        {put(48, 1<<63), shm.ErrCorrupt},
		"more user bytes":   {put(48, 1<<20), shm.ErrCorrupt},
		"arena":             {put(56, 1<<64-1), shm.ErrCorrupt},
	} {
		name, path := createNamed(t, &shm.Options{Size: 100, Arena: 8192, Participants: 8})
		b, err := os.ReadFile(path)
		ok(t, err)
		ok(t, os.WriteFile(path, c.damage(b), 0o600))
		if s, err := shm.Open(name); !errors.Is(err, c.want) {
			t.Errorf("%s: Open returned %v, want %v", what, err, c.want)
			if err == nil {
				s.Close()
			}
		}
		ok(t, shm.Unlink(name))
	}
}

// FuzzSegment opens files that hold anything somewhere, and uses what opens.
func FuzzSegment(f *testing.F) {
	name, path := createNamed(f, &shm.Options{Size: 100, Arena: 8192, Participants: 8})
	good, err := os.ReadFile(path)
	ok(f, err)
	f.Add(uint16(0), []byte{})
	f.Add(uint16(40), []byte{0, 0, 0, 0, 0, 0, 0, 1})
	f.Add(uint16(128), []byte("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"))
	f.Add(uint16(136), []byte("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"))
	f.Add(uint16(1024), []byte("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"))
	f.Fuzz(func(t *testing.T, off uint16, garbage []byte) {
		b := append([]byte(nil), good...)
		copy(b[min(int(off), len(b)):], garbage)
		ok(t, os.WriteFile(path, b, 0o600))
		s, err := shm.Open(name)
		if err != nil {
			return
		}
		defer s.Close()
		s.Participants()
		for size := range 5 {
			ref, err := s.Alloc(shm.KindUser, size*200)
			if err == nil {
				_, err = s.At(ref, shm.KindUser)
			}
			if err == nil {
				err = s.Free(ref)
			}
			if err == nil && s.Free(ref) == nil {
				t.Error("an object was freed twice")
			}
		}
	})
}
