package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/fb2d3dbd/multiproc"
)

// index is what the zygote loads and its copies share: records in the order of their keys. It is one large object without
// pointers, which the garbage collector of a copy never writes to: its pages stay shared.
var index []record

type record struct{ key, value uint64 }

const recordBytes = 16

// sizeVariable says how large the index is, in MiB.
const sizeVariable = "ZYGOTE_INDEX_MIB"

func init() { multiproc.Preload("index", loadIndex) }

// loadIndex runs in the zygote alone. A real one reads a file.
func loadIndex() error {
	mib, err := strconv.Atoi(os.Getenv(sizeVariable))
	if err != nil || mib < 1 {
		return fmt.Errorf("%s=%q, want a size in MiB", sizeVariable, os.Getenv(sizeVariable))
	}
	index = make([]record, recordsIn(mib))
	for i := range index {
		key := keyOf(i)
		index[i] = record{key, valueOf(key)}
	}
	return nil
}

func recordsIn(mib int) int { return mib << 20 / recordBytes }

// keyOf returns the key of record i; keys ascend.
func keyOf(i int) uint64 { return uint64(i)*1000 + valueOf(uint64(i))%1000 }

// valueOf returns the value of a key: any function of it that looks like data.
func valueOf(key uint64) uint64 {
	key = (key ^ key>>30) * 0xbf58476d1ce4e5b9
	key = (key ^ key>>27) * 0x94d049bb133111eb
	return key ^ key>>31
}

// lookup finds the value of a key.
func lookup(key uint64) (value uint64, found bool) {
	i, found := slices.BinarySearchFunc(index, key, func(r record, key uint64) int { return cmp.Compare(r.key, key) })
	if !found {
		return 0, false
	}
	return index[i].value, true
}
