package shm_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/shm"
)

// installed is the interpreters of CPython 3.8 and later that are found here, by version. Each that is asked takes seconds on a loaded machine.
var installed = sync.OnceValue(func() map[string]string {
	var candidates []string
	for minor := 8; minor < 20; minor++ {
		candidates = append(candidates, fmt.Sprintf("python3.%d", minor))
	}
	candidates = append(candidates, "python3")
	if root := os.Getenv("PYENV_ROOT"); root != "" {
		more, _ := filepath.Glob(root + "/versions/*/bin/python3")
		candidates = append(candidates, more...)
	}
	if home, err := os.UserHomeDir(); err == nil {
		more, _ := filepath.Glob(home + "/.pyenv/versions/*/bin/python3")
		candidates = append(candidates, more...)
	}
	all := map[string]string{}
	for _, c := range candidates {
		path, err := exec.LookPath(c)
		if err != nil {
			continue
		}
		out, err := exec.Command(path, "-I", "-c", "import sys, multiprocessing.shared_memory; print('%d.%d' % sys.version_info[:2])").Output()
		if v := strings.TrimSpace(string(out)); err == nil && all[v] == "" {
			all[v] = path
		}
	}
	return all
})

func pythons(t *testing.T) map[string]string {
	t.Helper()
	all := installed()
	if len(all) == 0 {
		t.Skip("there is no python3 with multiprocessing.shared_memory")
	}
	if versions := slices.SortedFunc(maps.Keys(all), byMinor); testing.Short() { // the latest
		last := versions[len(versions)-1]
		return map[string]string{last: all[last]}
	}
	return all
}

func byMinor(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

// pythonScript obeys lines of Python on its standard input and answers each with a line of JSON. Results that JSON has not are written by repr.
const pythonScript = `
import sys, json
from multiprocessing import shared_memory, resource_tracker
from multiprocessing.shared_memory import SharedMemory, ShareableList
def attach(name):
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    m = SharedMemory(name)
    resource_tracker.unregister('/' + name, 'shared_memory')
    return m
env = globals()
for line in sys.stdin:
    try:
        try:
            code = compile(line.strip(), '<line>', 'eval')
        except SyntaxError:
            exec(line.strip(), env)
            r = None
        else:
            r = eval(code, env)
        print(json.dumps(r, default=repr), flush=True)
    except Exception as e:
        print(json.dumps('%s: %s' % (type(e).__name__, e)), flush=True)
`

type python struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err bytes.Buffer
}

func startPython(t *testing.T, path string) *python {
	t.Helper()
	p := &python{t: t, cmd: exec.CommandContext(proctest.Context(t), path, "-I", "-c", pythonScript)}
	p.cmd.Stderr = &p.err
	var err error
	p.in, err = p.cmd.StdinPipe()
	ok(t, err)
	out, err := p.cmd.StdoutPipe()
	ok(t, err)
	p.out = bufio.NewReader(out)
	ok(t, p.cmd.Start())
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	return p
}

// run runs one line and returns its result as JSON.
func (p *python) run(format string, args ...any) string {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.in, format+"\n", args...); err != nil {
		p.t.Fatal(err)
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.t.Fatalf("python has ended: %v: %s", err, p.err.String())
	}
	return strings.TrimSpace(line)
}

func (p *python) want(result, format string, args ...any) {
	p.t.Helper()
	if got := p.run(format, args...); got != result {
		p.t.Errorf("%s is %s in python, want %s", fmt.Sprintf(format, args...), got, result)
	}
}

// end ends the interpreter, and waits for its resource tracker, which has its standard error too.
func (p *python) end() {
	p.t.Helper()
	ok(p.t, p.in.Close())
	ok(p.t, p.cmd.Wait())
}

func eachPython(t *testing.T, fn func(t *testing.T, p *python, version string)) {
	for version, path := range pythons(t) {
		t.Run(version, func(t *testing.T) { fn(t, startPython(t, path), version) })
	}
}

// SharedMemory made by either side opens in the other, and float64 data goes both ways.
func TestPythonSharedMemory(t *testing.T) {
	eachPython(t, func(t *testing.T, p *python, version string) {
		p.want("null", "m = SharedMemory(create=True, size=8*1000)")
		p.want("null", "a = m.buf.cast('d'); a[0] = 0.5; a[999] = -1e300")
		var name string
		ok(t, json.Unmarshal([]byte(p.run("m.name")), &name))
		if !strings.HasPrefix(name, "psm_") {
			t.Errorf("CPython names its memory %q", name)
		}
		m, err := shm.OpenSharedMemory(name)
		ok(t, err)
		view, err := shm.SliceOf[float64](m.Bytes()[:8000])
		ok(t, err)
		a := view.Elems()
		if m.Size() < 8000 || a[0] != 0.5 || a[999] != -1e300 {
			t.Errorf("of python's array %d bytes have come, and %v, %v", m.Size(), a[0], a[999])
		}
		for i := range a {
			a[i] = float64(i) / 2
		}
		p.want("249750.0", "sum(a)")
		ok(t, m.Close())
		p.want("null", "a.release(); m.close(); m.unlink()")
		_, err = shm.OpenSharedMemory(name)
		wantErr(t, err, os.ErrNotExist)

		m, err = shm.CreateSharedMemory("", 8*64)
		ok(t, err)
		defer m.Unlink()
		defer m.Close()
		view, err = shm.SliceOf[float64](m.Bytes())
		ok(t, err)
		a = view.Elems()
		a[63] = 1.25
		p.want("[512, 1.25]", "[(b := attach(%q)).size, b.buf.cast('d')[63]]", m.Name())
		p.want("null", "c = b.buf.cast('d'); c[7] = 3.5; c.release(); b.close()")
		if a[7] != 3.5 {
			t.Errorf("python's number has come as %v", a[7])
		}
		p.end()
		if !exists("/dev/shm/" + m.Name()) {
			t.Error("the end of python has taken the name away")
		}
	})
}

// The trap that the documentation warns of: a process of CPython that only attaches takes the name away at its end (gh-82300).
func TestPythonResourceTracker(t *testing.T) {
	eachPython(t, func(t *testing.T, p *python, version string) {
		m, err := shm.CreateSharedMemory("", 64)
		ok(t, err)
		defer m.Close()
		p.want("64", "(b := SharedMemory(%q)).size", m.Name())
		p.want("null", "b.close()")
		p.end()
		if exists("/dev/shm/" + m.Name()) {
			t.Logf("CPython %s leaves the name alone", version)
			ok(t, m.Unlink())
			return
		}
		wantErr(t, m.Unlink(), os.ErrNotExist)
		_, err = m.WriteAt([]byte("still shared by those who have it open"), 3)
		ok(t, err)
	})
}

var mixed = []any{"howdy", []byte("HoWdY"), -273.154, int64(100), nil, true, int64(42), "", []byte{}, false, int64(-1 << 63), "1234567", "12345678"}

const pythonMixed = `["howdy", b"HoWdY", -273.154, 100, None, True, 42, "", b"", False, -1<<63, "1234567", "12345678"]`

// Lists made by either side are the same bytes, and read and written in the other.
func TestPythonShareableList(t *testing.T) {
	eachPython(t, func(t *testing.T, p *python, version string) {
		p.want("null", "l = ShareableList(%s)", pythonMixed)
		var name string
		ok(t, json.Unmarshal([]byte(p.run("l.shm.name")), &name))
		theirs, err := shm.OpenShareableList(name)
		ok(t, err)
		defer theirs.Close()
		same(t, theirs, mixed)
		ok(t, theirs.Set(0, "other"))
		ok(t, theirs.Set(3, 7))
		ok(t, theirs.Set(4, "some"))
		ok(t, theirs.Set(5, 1.5))
		ok(t, theirs.Set(11, []byte("ab\x00")))
		wantErr(t, theirs.Set(0, "far too long"), shm.ErrTooLarge)
		p.want(`["other", "b'HoWdY'", -273.154, 7, "some", 1.5, 42, "", "b''", false, -9223372036854775808, "b'ab'", "12345678"]`, "list(l)")
		if v, err := theirs.At(11); err != nil || string(v.([]byte)) != "ab\x00" {
			t.Errorf("bytes that end in NUL have come back as %q, %v", v, err)
		}
		p.want("null", "l[11] = b'abcdefgh'; l[2] = 'text'; l[12] = None; l[0] = 'encodés'")
		for i, want := range map[int]any{0: "encodés", 2: "text", 12: nil} {
			if v, err := theirs.At(i); v != want || err != nil {
				t.Errorf("item %d, set by python, is %v, %v, want %v", i, v, err, want)
			}
		}
		if v, _ := theirs.At(11); string(v.([]byte)) != "abcdefgh" {
			t.Errorf("item 11, set by python, is %q", v)
		}
		p.want("null", "l = l.shm.unlink(); e = ShareableList([]); n = e.shm.name")
		ok(t, json.Unmarshal([]byte(p.run("n")), &name))
		empty, err := shm.OpenShareableList(name)
		ok(t, err)
		if empty.Len() != 0 {
			t.Errorf("an empty list has %d items", empty.Len())
		}
		ok(t, empty.Close())
		p.want("null", "e.shm.unlink()")

		mine, err := shm.CreateShareableList("", mixed...)
		ok(t, err)
		defer mine.Unlink()
		defer mine.Close()
		if version != "3.8" {
			p.want("null", "attach(%q).close(); l = ShareableList(name=%[1]q); resource_tracker.unregister('/' + l.shm.name, 'shared_memory')", mine.Shared().Name())
			p.want("true", "list(l) == %s", pythonMixed)
			format, err := mine.Format()
			ok(t, err)
			p.want(fmt.Sprintf("%q", format), "l.format")
			p.want("null", "l[6] = 43; l[0] = 'ab'; l[7] = 'x'")
			for i, want := range map[int]any{6: int64(43), 0: "ab", 7: "x"} {
				if v, err := mine.At(i); v != want || err != nil {
					t.Errorf("item %d, set by python, is %v, %v, want %v", i, v, err, want)
				}
			}
			ok(t, mine.Set(6, 42))
			ok(t, mine.Set(0, "howdy"))
			ok(t, mine.Set(7, ""))
			var raw string
			p.want("null", "l = None; d = ShareableList(%s); dump = bytes(d.shm.buf).hex(); d.shm.unlink()", pythonMixed)
			ok(t, json.Unmarshal([]byte(p.run("dump")), &raw))
			if got := fmt.Sprintf("%x", mine.Shared().Bytes()); got != raw {
				t.Errorf("the same list is\n%s here and\n%s in python", got, raw)
			}
		}
		p.end()
	})
}

func same(t *testing.T, l *shm.ShareableList, want []any) {
	t.Helper()
	if l.Len() != len(want) {
		t.Errorf("the list has %d items, want %d", l.Len(), len(want))
	}
	for i, v := range l.All() {
		b, isBytes := v.([]byte)
		if w, _ := want[i].([]byte); isBytes && !bytes.Equal(b, w) || !isBytes && v != want[i] {
			t.Errorf("item %d is %#v, want %#v", i, v, want[i])
		}
	}
}

// What CPython does to values that end in NUL bytes, and to strings that are not ASCII, is not done here; CPython reads what is made here.
func TestPythonFaultsOfLists(t *testing.T) {
	items := []any{[]byte("a\x00"), "b\x00\x00", []byte("\x00"), []byte("1234567\x00"), "ééééééééé", "日本語日本語日本語", strings.Repeat("é", 100)}
	l, err := shm.CreateShareableList("", items...)
	ok(t, err)
	defer l.Unlink()
	defer l.Close()
	same(t, l, items)
	eachPython(t, func(t *testing.T, p *python, version string) {
		if version == "3.8" {
			return
		}
		p.want("null", "l = ShareableList(name=%q); resource_tracker.unregister('/' + l.shm.name, 'shared_memory')", l.Shared().Name())
		p.want(`["b'a'", "b", "b''", "b'1234567'"]`, "list(l)[:4]") // its own fault: it drops NULs
		p.want("true", "list(l)[4:] == ['é' * 9, '日本語' * 3, 'é' * 100]")
		p.want("null", "q = ShareableList(['日本語日本語日本語'])")
		var name string
		ok(t, json.Unmarshal([]byte(p.run("q.shm.name")), &name))
		cut, err := shm.OpenShareableList(name)
		ok(t, err)
		if v, err := cut.At(0); err == nil && v != "日本語日本語日本語" {
			t.Errorf("a string that python has cut off comes back as %q", v)
		}
		ok(t, cut.Close())
		p.want("null", "q.shm.unlink()")
		p.end()
	})
	same(t, l, items)
}

func TestShareableList(t *testing.T) {
	l, err := shm.CreateShareableList("", mixed...)
	ok(t, err)
	defer l.Unlink()
	if i := l.Index(42); i != 6 {
		t.Errorf("42 is item %d", i)
	}
	if l.Index("100") != -1 || l.Index(100) != 3 || l.Count(42) != 1 || l.Count("adios") != 0 || l.Index(make(chan int)) != -1 || l.Count(uint64(1<<63)) != 0 {
		t.Error("Index or Count")
	}
	if f, err := l.Format(); f[:24] != "8s8sdqxxxxxx?xxxxxxxx?q8"[:24] || err != nil {
		t.Errorf("the formats are %q, %v", f, err)
	}
	for _, i := range []int{-1, 13, 1 << 40} {
		_, err := l.At(i)
		if err == nil || l.Set(i, 1) == nil {
			t.Errorf("index %d is not refused", i)
		}
	}
	for _, bad := range []any{struct{}{}, []int{1}, uint64(1 << 63), "\xff", make([]byte, 9), &mixed} {
		if l.Set(0, bad) == nil {
			t.Errorf("%T %v is taken", bad, bad)
		}
	}
	ok(t, l.Set(12, make([]byte, 16)))
	if v, err := l.At(12); err != nil || len(v.([]byte)) != 16 {
		t.Errorf("16 NULs have come back as %q, %v", v, err)
	}
	b, err := l.MarshalBinary()
	ok(t, err)
	again := new(shm.ShareableList)
	ok(t, again.UnmarshalBinary(b))
	ok(t, l.Set(0, "changed"))
	if v, _ := again.At(0); v != "changed" {
		t.Errorf("the other handle reads %v", v)
	}
	ok(t, l.Close())
	_, err = l.At(0)
	wantErr(t, err, shm.ErrClosed)
	wantErr(t, l.Set(0, 1), shm.ErrClosed)
	ok(t, again.Close())
	if _, err := shm.CreateShareableList(l.Shared().Name(), 1); !errors.Is(err, os.ErrExist) {
		t.Errorf("the name of a list is given again: %v", err)
	}
	if _, err := shm.CreateShareableList("", 1, make([]byte, 10_000_000)); !errors.Is(err, shm.ErrTooLarge) {
		t.Errorf("a list with ten million bytes in an item: %v", err)
	}
}

// FuzzShareableList opens lists whose bytes are anything.
func FuzzShareableList(f *testing.F) {
	l, err := shm.CreateShareableList("", mixed...)
	ok(f, err)
	f.Add(slices.Clone(l.Shared().Bytes()), uint16(0))
	ok(f, errors.Join(l.Unlink(), l.Close()))
	f.Add(append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 8}, make([]byte, 40)...), uint16(9))
	f.Add(append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 8}, make([]byte, 8)...), uint16(9)) // one item in as few bytes as can be
	f.Fuzz(func(t *testing.T, b []byte, change uint16) {
		if len(b) == 0 {
			return
		}
		m, err := shm.CreateSharedMemory("", len(b))
		ok(t, err)
		defer m.Close()
		defer m.Unlink()
		copy(m.Bytes(), b)
		l, err := shm.OpenShareableList(m.Name())
		if err != nil {
			return
		}
		defer l.Close()
		m.Bytes()[int(change)%len(b)]++ // under the reader's hands
		for i := range l.Len() {
			_, _ = l.At(i)
			_ = l.Set(i, "x")
			_ = l.Set(i, i)
		}
		_, _ = l.Format()
		l.Count(1)
	})
}

func TestSharedMemory(t *testing.T) {
	m, err := shm.CreateSharedMemory("", 100)
	ok(t, err)
	path := "/dev/shm/" + m.Name()
	if st, err := os.Stat(path); err != nil || st.Mode() != 0o600 || st.Size() != 100 {
		t.Errorf("its file is %v, %v", st, err)
	}
	_, err = shm.CreateSharedMemory(m.Name(), 1)
	wantErr(t, err, os.ErrExist)
	b, err := m.MarshalBinary()
	ok(t, err)
	other := new(shm.SharedMemory)
	ok(t, other.UnmarshalBinary(b))
	if other.UnmarshalBinary(b) == nil {
		t.Error("it was opened twice by one handle")
	}
	n, err := m.WriteAt([]byte("abc"), 97)
	if n != 3 || err != nil {
		t.Errorf("WriteAt: %d, %v", n, err)
	}
	buf := make([]byte, 5)
	if n, err := other.ReadAt(buf, 97); n != 3 || err != io.EOF || string(buf[:3]) != "abc" {
		t.Errorf("ReadAt: %d, %v, %q", n, err, buf)
	}
	for _, off := range []int64{-1, 98, 101, 1 << 62} {
		if _, err := m.WriteAt([]byte("abc"), off); err == nil {
			t.Errorf("three bytes were written at %d", off)
		}
	}
	for _, size := range []int{0, -1, 1 << 62, 1 << 45} {
		if _, err := shm.CreateSharedMemory("", size); err == nil {
			t.Errorf("%d bytes were made", size)
		}
	}
	for _, name := range []string{"a/b", "a\x00", ".", "..", strings.Repeat("x", 251)} {
		_, e1 := shm.CreateSharedMemory(name, 1)
		_, e2 := shm.OpenSharedMemory(name)
		if e1 == nil || e2 == nil || shm.UnlinkSharedMemory(name) == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
	if _, err := shm.SliceOf[int32](m.Bytes()[1:5]); err == nil {
		t.Error("an int32 begins at byte 1")
	}
	if _, err := shm.SliceOf[int32](m.Bytes()[:6]); err == nil {
		t.Error("six bytes are int32s")
	}
	if _, err := shm.SliceOf[*int](m.Bytes()[:8]); err == nil {
		t.Error("a pointer stands in shared memory")
	}
	ok(t, os.Truncate(path, 0))
	_, err = m.ReadAt(buf, 0)
	wantErr(t, err, shm.ErrTruncated)
	_, err = other.WriteAt(buf, 0)
	wantErr(t, err, shm.ErrTruncated)
	wantErr(t, m.Guard(func(mem []byte) error { mem[3] = 1; return nil }), shm.ErrTruncated)
	_, err = shm.OpenSharedMemory(m.Name())
	wantErr(t, err, shm.ErrTruncated)
	ok(t, m.Unlink())
	wantErr(t, other.Unlink(), os.ErrNotExist)
	_, err = shm.OpenSharedMemory(m.Name())
	wantErr(t, err, os.ErrNotExist)
	ok(t, errors.Join(m.Close(), m.Close(), other.Close()))
	_, err = m.ReadAt(buf, 0)
	wantErr(t, err, shm.ErrClosed)
	_, err = m.MarshalBinary()
	wantErr(t, err, shm.ErrClosed)
	if m.Bytes() != nil {
		t.Error("closed memory has bytes")
	}
}
