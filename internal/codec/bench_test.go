package codec

import (
	"bytes"
	"encoding/gob"
	"testing"
)

// message is what a queue typically carries.
type message struct {
	ID      int
	Name    string
	Samples []float64
}

var (
	benchMessage = message{7, "temperature", []float64{1, 2, 3, 4, 5, 6, 7, 8}}
	benchBytes   = bytes.Repeat([]byte("x"), 1<<10)
	benchFloats  = make([]float64, 1<<15)
	benchPoints  = make([]point, 1000)
	benchParts   = make([]Part, 100)
	benchMap     = map[string]int{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7, "h": 8}
	benchAny     = any([]any{42, nil, "hello", 2.5})
	benchNamed   = any(pair[string, point]{"a", point{1, 2, 3}})
)

func BenchmarkAppend(b *testing.B) {
	b.Run("int", benchAppend(ptr(7)))
	b.Run("message", benchAppend(&benchMessage))
	b.Run("bytes-1KiB", benchAppend(&benchBytes))
	b.Run("floats-256KiB", benchAppend(&benchFloats))
	b.Run("points-24kB", benchAppend(&benchPoints))
	b.Run("parts-100", benchAppend(&benchParts))
	b.Run("map-8", benchAppend(&benchMap))
	b.Run("any-4", benchAppend(&benchAny))
	b.Run("any-named", benchAppend(&benchNamed))
	b.Run("time", benchAppend(&when))
	b.Run("list-1000", benchAppend(ptr(listOf(1000))))
}

func BenchmarkDecode(b *testing.B) {
	b.Run("int", benchDecode(ptr(7)))
	b.Run("message", benchDecode(&benchMessage))
	b.Run("bytes-1KiB", benchDecode(&benchBytes))
	b.Run("floats-256KiB", benchDecode(&benchFloats))
	b.Run("points-24kB", benchDecode(&benchPoints))
	b.Run("parts-100", benchDecode(&benchParts))
	b.Run("map-8", benchDecode(&benchMap))
	b.Run("any-4", benchDecode(&benchAny))
	b.Run("any-named", benchDecode(&benchNamed))
	b.Run("time", benchDecode(&when))
	b.Run("list-1000", benchDecode(ptr(listOf(1000))))
}

func benchAppend[T any](v *T) func(*testing.B) {
	return func(b *testing.B) {
		buf, err := Append(nil, v, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(buf)))
		b.ReportAllocs()
		for b.Loop() {
			if buf, err = Append(buf[:0], v, nil); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func benchDecode[T any](v *T) func(*testing.B) {
	return func(b *testing.B) {
		buf, err := Append(nil, v, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(buf)))
		b.ReportAllocs()
		var got T
		for b.Loop() {
			if err := Decode(buf, &got); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkRoundTripMessage sets the codec against gob, for messages that are
// independent of each other, as those of a queue with many receivers must be.
func BenchmarkRoundTripMessage(b *testing.B) {
	b.Run("codec", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		var got message
		for b.Loop() {
			var err error
			if buf, err = Append(buf[:0], &benchMessage, nil); err != nil {
				b.Fatal(err)
			}
			if err := Decode(buf, &got); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gob", func(b *testing.B) {
		b.ReportAllocs()
		var buf bytes.Buffer
		for b.Loop() {
			var got message
			buf.Reset()
			if err := gob.NewEncoder(&buf).Encode(&benchMessage); err != nil {
				b.Fatal(err)
			}
			if err := gob.NewDecoder(&buf).Decode(&got); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gob-stream", func(b *testing.B) {
		b.ReportAllocs()
		var buf bytes.Buffer
		enc, dec := gob.NewEncoder(&buf), gob.NewDecoder(&buf)
		for b.Loop() {
			var got message
			if err := enc.Encode(&benchMessage); err != nil {
				b.Fatal(err)
			}
			if err := dec.Decode(&got); err != nil {
				b.Fatal(err)
			}
		}
	})
}
