package multiproc_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// snapshot is a store in memory that writes itself to disk as it is at one moment, while it goes on changing: a fork has the map as it was, at the
// price of the pages that the store writes to meanwhile. Its arguments are a file and how many MiB of values it has.
var snapshot = proctest.NewProgram("snapshot", func() int {
	multiproc.Init()
	ctx := context.Background()
	mib, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	const size = 4096
	store := map[int][]byte{}
	for k := range mib << 20 / size {
		store[k] = make([]byte, size)
		binary.LittleEndian.PutUint64(store[k], 1)
	}

	if err := multiproc.Fork.Available(); err != nil { // the first look tries it out
		fmt.Println(err)
		return 1
	}
	begin := time.Now()
	p, err := multiproc.ForkFunc(ctx, func(context.Context) error {
		f, err := os.Create(os.Args[1])
		if err != nil {
			return err
		}
		w := bufio.NewWriterSize(f, 1<<20)
		for k, v := range store {
			if err := binary.Write(w, binary.LittleEndian, uint64(k)); err != nil {
				return err
			}
			if _, err := w.Write(v); err != nil {
				return err
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
		return f.Close()
	}, nil)
	pause := time.Since(begin)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	changes := 0
	for saved := false; !saved; { // the store goes on
		for k := range store {
			binary.LittleEndian.PutUint64(store[k], 2)
			changes++
		}
		select {
		case <-p.Done():
			saved = true
		default:
		}
	}
	if err := p.Wait(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Printf("saved %d values as they were, changed %d meanwhile; the fork took %v\n", len(store), changes, pause.Round(100*time.Microsecond))
	return 0
})

// TestSnapshot checks what was written: each value once, and none of those that came later. MULTIPROC_TEST_SNAPSHOT is the size in MiB.
func TestSnapshot(t *testing.T) {
	mib := 32
	if s := os.Getenv("MULTIPROC_TEST_SNAPSHOT"); s != "" {
		mib = must(strconv.Atoi(s))(t)
	}
	path := filepath.Join(t.TempDir(), "snapshot")
	out := quietly(t, snapshot, path, strconv.Itoa(mib))
	t.Log(strings.TrimSpace(out))
	f := must(os.Open(path))(t)
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	seen := map[uint64]bool{}
	for {
		var record [2]uint64
		if err := binary.Read(r, binary.LittleEndian, &record); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if seen[record[0]] || record[1] != 1 {
			t.Fatalf("key %d: seen before: %v; value %d, want that of the moment of the snapshot", record[0], seen[record[0]], record[1])
		}
		seen[record[0]] = true
		check(t, discard(r, 4096-8))
	}
	if len(seen) != mib<<20/4096 {
		t.Errorf("%d values were saved, want %d", len(seen), mib<<20/4096)
	}
}

func discard(r *bufio.Reader, n int) error {
	_, err := r.Discard(n)
	return err
}
