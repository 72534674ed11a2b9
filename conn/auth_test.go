package conn

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// The answers are those of CPython 3.13.
func TestRespond(t *testing.T) {
	random := bytes.Repeat([]byte{7}, 40)
	for _, test := range []struct{ challenge, prefix, mac string }{
		{string(random[:20]), "", "8b9085844c5a293d3ffd786fc197c66e"},
		{"{md5}" + string(random), "{md5}", "53f26571daf7098bf68826cb83f6da17"},
		{"{sha256}" + string(random), "{sha256}", "95fb26dffa5c69c343bb72a7007fd1beceb481774d9b21f116a1c9577626afd3"},
		{"{sha384}" + string(random), "{sha384}", "9503d25c58b2c162781fef7ca132702e9cded04a747306832bb9a874b8c3572a589bca2e8925e66fcde4869a427ae425"},
		{"{sha3_256}" + string(random), "{sha3_256}", "97886b8896d340246e5971599e7517605b370c89478f8d1750e3ad5d6ce0844f"},
		{"{sha3_384}" + string(random), "{sha3_384}", "87a92564fd410943c07e3ad079a8cd3b4dedc0bfd3deb2222e40c8fcd2121682750445e3b2706dcc420ef54fa08ed8f7"},
	} {
		got, err := respond([]byte("key"), []byte(challengeMark+test.challenge))
		if want, _ := hex.DecodeString(test.mac); err != nil || string(got) != test.prefix+string(want) {
			t.Errorf("%q: %x, %v", test.challenge, got, err)
			continue
		}
		if err := verify([]byte("key"), []byte(test.challenge), got); err != nil {
			t.Errorf("%q: %v", test.challenge, err)
		}
		if err := verify([]byte("other"), []byte(test.challenge), got); !errors.Is(err, ErrAuthentication) {
			t.Errorf("%q with another key: %v", test.challenge, err)
		}
		if err := verify([]byte("key"), []byte(test.challenge+"x"), got); !errors.Is(err, ErrAuthentication) {
			t.Errorf("%q changed: %v", test.challenge, err)
		}
	}
	for _, bad := range []string{"", "x", challengeMark, challengeMark + string(random[:19]), challengeMark + string(random), welcomeMark,
		challengeMark + "{sha1}" + string(random), challengeMark + "{}" + string(random), challengeMark + "{sha256" + string(random)} {
		if got, err := respond([]byte("key"), []byte(bad)); !errors.Is(err, ErrAuthentication) {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
	for _, bad := range []string{"", "x", "{md5}", "{sha256}short", string(random[:16]), string(random[:20]), string(random)} {
		if err := verify([]byte("key"), []byte("challenge"), []byte(bad)); !errors.Is(err, ErrAuthentication) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A peer that answers what it was asked in the words of the other side proves nothing.
func TestReflection(t *testing.T) {
	c := newChallenge()
	for _, answer := range [][]byte{c, append([]byte(challengeMark), c...), []byte(welcomeMark)} {
		if err := verify([]byte("key"), c, answer); !errors.Is(err, ErrAuthentication) {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

// script is what a hostile peer sends, whatever it is told.
type scripted struct {
	io.Reader
	io.Writer
}

func (scripted) Close() error                     { return nil }
func (scripted) LocalAddr() net.Addr              { return nil }
func (scripted) RemoteAddr() net.Addr             { return nil }
func (scripted) SetDeadline(time.Time) error      { return nil }
func (scripted) SetReadDeadline(time.Time) error  { return nil }
func (scripted) SetWriteDeadline(time.Time) error { return nil }

func frame(b []byte) []byte { return append(appendHead(nil, len(b)), b...) }

// FuzzHandshake has a peer send anything at all, to both sides of the handshake. Without the key nothing may authenticate it.
func FuzzHandshake(f *testing.F) {
	random := bytes.Repeat([]byte{7}, 40)
	for _, answer := range [][]byte{random[:16], append([]byte("{md5}"), random[:16]...), append([]byte("{sha256}"), random[:32]...)} {
		f.Add(append(append(frame(answer), frame([]byte(challengeMark+"{sha256}"+string(random)))...), frame([]byte(welcomeMark))...))
		f.Add(append(append(frame([]byte(challengeMark+"{md5}"+string(random))), frame([]byte(welcomeMark))...), frame(answer)...))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff})
	f.Add([]byte{0xff, 0xff, 0xff, 0xfe, 1})
	f.Add(frame([]byte(failureMark)))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, first := range []bool{true, false} {
			var said bytes.Buffer
			c, err := NewConn(scripted{bytes.NewReader(data), &said})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.authenticate(context.Background(), []byte("secret"), first); !errors.Is(err, ErrAuthentication) {
				t.Fatalf("first %v: %v", first, err)
			}
			if said.Len() > 1024 {
				t.Fatalf("said %d bytes to a stranger", said.Len())
			}
		}
	})
}

// FuzzFrames has a stream bring anything at all. What is received is what the frames say, and ends in io.EOF between two frames or
// ErrBroken.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{}, 3)
	f.Add(append(frame([]byte("hello")), frame(nil)...), 2)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 2, 'h', 'i'}, 1)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0}, 5)
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 1, 2, 3}, 9)
	f.Add(append([]byte{0, 0x10, 0, 1}, make([]byte, 1<<20+1)...), 1<<19)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		c, err := NewConn(scripted{&pieces{data, piece}, io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		var again []byte
		for {
			b, err := c.RecvBytes(context.Background())
			if err == nil {
				again = append(again, b...)
				continue
			}
			if err == io.EOF || errors.Is(err, ErrBroken) {
				break
			}
			t.Fatal(err)
		}
		want, ended := parseAll(data)
		if !bytes.Equal(again, want) {
			t.Fatalf("got %d bytes, want %d", len(again), len(want))
		}
		_, err = c.RecvBytes(context.Background())
		if ended != (err == io.EOF) {
			t.Fatalf("ended at the end of a frame: %v, and then %v", ended, err)
		}
	})
}

// parseAll is the format in the plainest words; ended says that the data ends with a frame.
func parseAll(data []byte) (all []byte, ended bool) {
	for len(data) > 0 {
		if len(data) < 4 {
			return all, false
		}
		n := int64(int32(uint32(data[0])<<24 | uint32(data[1])<<16 | uint32(data[2])<<8 | uint32(data[3])))
		data = data[4:]
		if n == -1 {
			if len(data) < 8 {
				return all, false
			}
			n = 0
			for _, b := range data[:8] {
				n = n<<8 | int64(b)
			}
			data = data[8:]
		}
		if n < 0 || n > int64(len(data)) {
			return all, false
		}
		all, data = append(all, data[:n]...), data[n:]
	}
	return all, true
}

// pieces hands out its bytes so many at a time.
type pieces struct {
	data []byte
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), max(p.n, 1))], p.data)
	p.data = p.data[n:]
	return n, nil
}

// FuzzPacket has a packet bring anything at all, with up to three descriptors.
func FuzzPacket(f *testing.F) {
	f.Add([]byte("m\x01\x00\x00\x00\x00\x00\x00hello"), 0)
	f.Add([]byte("m\x01\x01\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00"), 1)
	f.Add([]byte("m\x01\x06\x00\x03\x00\x00\x00hello"), 1)
	f.Add([]byte("m\x01\x02\x00\x02\x00\x00\x00hello"), 2)
	f.Add([]byte("m\x01\x07\x00\xff\xff\xff\xff\x05\x00\x00\x00\x00\x00\x00\x80"), 3)
	var out departures
	list, body, err := encode(nil, []any{os.Stdin, 1, os.Stdout}, &out)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(append([]byte("m\x01\x02\x00\x02\x00\x00\x00"), list...), body...), 2)
	out.End(false)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		if len(data) == 0 || len(data) > 4096 {
			return
		}
		a, b, err := Pipe(true)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		defer b.Close()
		var rights []int
		for range n & 3 {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			rights = append(rights, int(r.Fd()))
		}
		if err := a.l.try(&rawSend{data, rights}); err != nil {
			t.Fatal(err)
		}
		m, err := b.receive(context.Background(), nil, -1, false)
		if err == nil {
			if len(m.rights) != n&3 || len(data) != headSize+len(m.body) || !bytes.Equal(m.body, data[headSize:]) {
				t.Errorf("received %d bytes and %d descriptors of %x", len(m.body), len(m.rights), data)
			}
			var v any
			if decode(&m, &v) == nil {
				closeAll(v)
			}
		}
		m.free()
	})
}

// closeAll closes the file in a value, or among those of a list.
func closeAll(v any) {
	switch x := v.(type) {
	case *os.File:
		if x != nil {
			x.Close()
		}
	case []any:
		for _, v := range x {
			closeAll(v)
		}
	}
}

type rawSend struct {
	data   []byte
	rights []int
}

func (o *rawSend) step(ch channel) error {
	_, err := ch.write([][]byte{o.data}, o.rights)
	return err
}
