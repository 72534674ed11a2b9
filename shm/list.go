package shm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A ShareableList is a list of numbers, bools, strings, bytes and nils in a [SharedMemory]: CPython's
// multiprocessing.shared_memory.ShareableList, byte for byte. Either side may make it and the other open it. Its length is fixed; an item may be
// replaced by one of any type that takes no more bytes than the first one had, rounded up to a multiple of eight.
//
// Items are int64, float64, bool, string, []byte and nil; other integers and float32 are converted when they are stored.
//
// CPython 3.8 laid its lists out otherwise; they are read and written here, and it cannot read those that are made here.
//
// Two of CPython's faults are not here. A value that ends in NUL bytes comes back whole (gh-106939): its format says how long it is, "3s5x" where CPython writes
// "8s", which CPython reads as well, without the NULs that it always drops. And a string that is not ASCII gets the room that its
// bytes need, where CPython counts its characters and cuts it off.
//
// As in CPython an item is not stored in one step: guard what others may read meanwhile with a lock.
//
//	0          N, the number of items; all numbers are 64 bits, little-endian
//	8          N+1 offsets of the items in the data, the last one its end; CPython 3.8 has N sizes here, which is read too
//	8(N+2)     data, eight bytes or a multiple for each item
//	...        N formats, eight bytes each: q, d, xxxxxxx? (bool), xxxxxx?x (nil), 16s
//	...        N bytes: 0 for numbers and bools, 1 for strings, 2 for bytes, 3 for nil
type ShareableList struct {
	m       *SharedMemory
	offsets []int // of the items in the block, checked, and the end of the data
}

const (
	formatInt   = "q"
	formatFloat = "d"
	formatBool  = "xxxxxxx?"
	formatNil   = "xxxxxx?x"

	codeValue = 0
	codeText  = 1
	codeBytes = 2
	codeNil   = 3
)

// An item is one value in its packed form.
type item struct {
	format string
	code   byte
	data   []byte
}

// pack returns v as an item that has room bytes; room 0 means as many as a new one gets.
func pack(v any, room int) (it item, size int, err error) {
	word := func(format string, code byte, n uint64) (item, int, error) {
		return item{format, code, binary.LittleEndian.AppendUint64(nil, n)}, 8, nil
	}
	switch x := v.(type) {
	case nil:
		return word(formatNil, codeNil, 0)
	case bool:
		n := uint64(0)
		if x {
			n = 1 << 56
		}
		return word(formatBool, codeValue, n)
	case string:
		if !utf8.ValidString(x) {
			return it, 0, fmt.Errorf("shm: the string %q is not UTF-8; store it as []byte", x)
		}
		it, size, err = packBytes([]byte(x), room)
		it.code = codeText
		return it, size, err
	case []byte:
		return packBytes(x, room)
	}
	switch r := reflect.ValueOf(v); {
	case r.CanInt():
		return word(formatInt, codeValue, uint64(r.Int()))
	case r.CanUint() && r.Uint() <= math.MaxInt64:
		return word(formatInt, codeValue, r.Uint())
	case r.CanUint():
		return it, 0, fmt.Errorf("shm: %d does not fit into 64 bits with a sign", r.Uint())
	case r.CanFloat():
		return word(formatFloat, codeValue, math.Float64bits(r.Float()))
	}
	return it, 0, fmt.Errorf("shm: a %T cannot be an item of a list: only integers, floats, bools, strings, []byte and nil", v)
}

func packBytes(b []byte, room int) (item, int, error) {
	if room == 0 {
		room = 8 * (len(b)/8 + 1)
	}
	if len(b) > room {
		return item{}, 0, fmt.Errorf("shm: %w: %d bytes in the place of %d", ErrTooLarge, len(b), room)
	}
	format := strconv.Itoa(room) + "s"
	if n := len(b); n > 0 && b[n-1] == 0 {
		if format = strconv.Itoa(n) + "s" + strconv.Itoa(room-n) + "x"; len(format) > 8 {
			format = strconv.Itoa(n) + "s"
		}
	}
	if len(format) > 8 {
		return item{}, 0, fmt.Errorf("shm: %w: an item of %d bytes; at most 9999991 can be", ErrTooLarge, len(b))
	}
	return item{format, codeBytes, b}, room, nil
}

// CreateShareableList makes a list of the items under the name, or one that is made up if the name is "". It is whole before the name appears.
func CreateShareableList(name string, items ...any) (*ShareableList, error) {
	n := len(items)
	packed := make([]item, n)
	offsets := make([]int, n+1)
	offsets[0] = 8 * (n + 2)
	for i, v := range items {
		it, size, err := pack(v, 0)
		if err != nil {
			return nil, fmt.Errorf("%w (item %d)", err, i)
		}
		packed[i], offsets[i+1] = it, offsets[i]+size
	}
	l := &ShareableList{offsets: offsets}
	m, err := createShared(name, l.codeOff(n), func(mem []byte) {
		putInt(mem, 0, n)
		for i, off := range offsets {
			putInt(mem, 8*(i+1), off-offsets[0])
		}
		for i := range packed {
			l.put(mem, i, &packed[i])
		}
	})
	l.m = m
	return l, err
}

// OpenShareableList opens the list of this name.
func OpenShareableList(name string) (*ShareableList, error) {
	m, err := OpenSharedMemory(name)
	if err != nil {
		return nil, err
	}
	l := &ShareableList{m: m}
	if err := m.Guard(l.read); err != nil {
		m.Close()
		return nil, fmt.Errorf("shm: %q is no list: %w", name, err)
	}
	return l, nil
}

func putInt(mem []byte, off, n int) { binary.LittleEndian.PutUint64(mem[off:], uint64(n)) }

func getInt(mem []byte, off int) (int, bool) {
	n := binary.LittleEndian.Uint64(mem[off:])
	return int(n), n <= maxShared
}

// read reads and checks where the items are.
func (l *ShareableList) read(mem []byte) error {
	if len(mem) < 8 {
		return fmt.Errorf("%w: %d bytes", ErrForeign, len(mem))
	}
	n, ok := getInt(mem, 0)
	if !ok || n > len(mem)/17 { // an item takes at least eight bytes, a format and a code
		return fmt.Errorf("%w: %d items in %d bytes", ErrForeign, uint64(n), len(mem))
	}
	l.offsets = make([]int, n+1)
	l.offsets[0] = 8 * (n + 2)
	if n == 0 {
		return nil
	}
	first, ok := getInt(mem, 8)
	sizes := first != 0 // as CPython 3.8 has it
	if sizes {
		l.offsets[0] = 8 * (n + 1)
	}
	for i := 1; ok && i <= n && l.offsets[0] <= len(mem); i++ {
		var at int
		if sizes {
			at, ok = getInt(mem, 8*i)
			at += l.offsets[i-1] - l.offsets[0]
		} else {
			at, ok = getInt(mem, 8*(i+1))
		}
		l.offsets[i] = l.offsets[0] + at
		ok = ok && l.offsets[i] >= l.offsets[i-1]+8 && l.offsets[i] <= len(mem)
	}
	if !ok || l.offsets[n] < l.offsets[0] || l.codeOff(n) > len(mem) {
		return fmt.Errorf("%w: its %d items do not fit into %d bytes", ErrForeign, n, len(mem))
	}
	return nil
}

// Len returns the number of items.
func (l *ShareableList) Len() int { return len(l.offsets) - 1 }

func (l *ShareableList) formatOff(i int) int { return l.offsets[l.Len()] + 8*i }

func (l *ShareableList) codeOff(i int) int { return l.formatOff(l.Len()) + i }

// put writes an item. What is behind it in its place becomes zeros.
func (l *ShareableList) put(mem []byte, i int, it *item) {
	var format [8]byte
	copy(format[:], it.format)
	copy(mem[l.formatOff(i):], format[:])
	mem[l.codeOff(i)] = it.code
	place := mem[l.offsets[i]:l.offsets[i+1]]
	if it.code != codeText && it.code != codeBytes {
		place = place[:8]
	}
	clear(place[copy(place, it.data):])
}

func (l *ShareableList) inRange(i int) error {
	if i < 0 || i >= l.Len() {
		return fmt.Errorf("shm: index %d is out of range: the list has %d items", i, l.Len())
	}
	return nil
}

// At returns item i.
func (l *ShareableList) At(i int) (v any, err error) {
	if err := l.inRange(i); err != nil {
		return nil, err
	}
	err = l.m.Guard(func(mem []byte) error {
		v, err = l.get(mem, i)
		return err
	})
	return v, err
}

func (l *ShareableList) get(mem []byte, i int) (any, error) {
	format := formatAt(mem, l.formatOff(i))
	code := mem[l.codeOff(i)]
	place := mem[l.offsets[i]:l.offsets[i+1]]
	word := binary.LittleEndian.Uint64(place)
	switch {
	case code == codeNil:
		return nil, nil
	case code == codeValue && format == formatInt:
		return int64(word), nil
	case code == codeValue && format == formatFloat:
		return math.Float64frombits(word), nil
	case code == codeValue && format == formatBool:
		return word>>56 != 0, nil
	case code != codeText && code != codeBytes:
		return nil, fmt.Errorf("shm: %w: item %d has the format %q and the code %d", ErrCorrupt, i, format, code)
	}
	n, exact, ok := parseFormat(format)
	if !ok || n > len(place) {
		return nil, fmt.Errorf("shm: %w: item %d has the format %q in a place of %d bytes", ErrCorrupt, i, format, len(place))
	}
	b := bytes.Clone(place[:n])
	if !exact && n == len(place) {
		b = bytes.TrimRight(b, "\x00") // what CPython cannot tell from the value
	}
	if code == codeBytes {
		return b, nil
	}
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("shm: item %d, %q, is a string that was cut off in the middle of a character, as CPython does to strings that are not ASCII", i, b)
	}
	return string(b), nil
}

// parseFormat reads "16s", or "3s5x" and such, which say the exact length.
func parseFormat(f string) (n int, exact, ok bool) {
	digits, rest, ok := strings.Cut(f, "s")
	n, err := strconv.Atoi(digits)
	return n, rest != "", ok && err == nil && n >= 0
}

func formatAt(mem []byte, off int) string {
	return strings.TrimRight(string(mem[off:off+8]), "\x00")
}

// Set replaces item i. A string or bytes that need more room than the place has are refused with ErrTooLarge.
func (l *ShareableList) Set(i int, v any) error {
	if err := l.inRange(i); err != nil {
		return err
	}
	it, _, err := pack(v, l.offsets[i+1]-l.offsets[i])
	if err != nil {
		return fmt.Errorf("%w (item %d)", err, i)
	}
	return l.m.Guard(func(mem []byte) error {
		l.put(mem, i, &it)
		return nil
	})
}

// All ranges over the items. It ends at one that cannot be read, whose error At returns.
func (l *ShareableList) All() iter.Seq2[int, any] {
	return func(yield func(int, any) bool) {
		for i := range l.Len() {
			if v, err := l.At(i); err != nil || !yield(i, v) {
				return
			}
		}
	}
}

// Index returns the index of the first item that equals v, type included, or -1.
func (l *ShareableList) Index(v any) int {
	it, _, err := pack(v, 0)
	if err != nil {
		return -1
	}
	for i, x := range l.All() {
		if other, _, err := pack(x, 0); err == nil && other.code == it.code && other.format == it.format && bytes.Equal(other.data, it.data) {
			return i
		}
	}
	return -1
}

// Count returns how many items equal v, type included.
func (l *ShareableList) Count(v any) (n int) {
	want, _, err := pack(v, 0)
	if err != nil {
		return 0
	}
	for _, x := range l.All() {
		if it, _, err := pack(x, 0); err == nil && it.code == want.code && it.format == want.format && bytes.Equal(it.data, want.data) {
			n++
		}
	}
	return n
}

// Format returns the formats of all items in a row, as the attribute of that name in CPython.
func (l *ShareableList) Format() (format string, err error) {
	err = l.m.Guard(func(mem []byte) error {
		for i := range l.Len() {
			format += formatAt(mem, l.formatOff(i))
		}
		return nil
	})
	return format, err
}

// Shared returns the memory that the list stands in.
func (l *ShareableList) Shared() *SharedMemory { return l.m }

// Close gives the list up in this process; the list and its name stay.
func (l *ShareableList) Close() error { return l.m.Close() }

// Unlink takes the list's name away.
func (l *ShareableList) Unlink() error { return l.m.Unlink() }

// MarshalBinary returns the list's name.
func (l *ShareableList) MarshalBinary() ([]byte, error) {
	if l.m == nil {
		return nil, errors.New("shm: the zero ShareableList cannot be sent")
	}
	return l.m.MarshalBinary()
}

// UnmarshalBinary opens the list whose name b is. Whoever gets it closes it.
func (l *ShareableList) UnmarshalBinary(b []byte) error {
	x, err := OpenShareableList(string(b))
	if err == nil {
		*l = *x
	}
	return err
}
