package bench

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// filesPerMessage is how many file names travel to a worker in one message.
const filesPerMessage = 32

// A word is a maximal run of the bytes 0-9, A-Z, a-z, _ and everything from 0x80 on; it is an identifier when it does
// not start with a digit.
const (
	wordByte  = 1
	digitByte = 2
)

var byteClass = func() (class [256]uint8) {
	for b := range class {
		switch {
		case '0' <= b && b <= '9':
			class[b] = digitByte
		case 'A' <= b && b <= 'Z', 'a' <= b && b <= 'z', b == '_', b >= 0x80:
			class[b] = wordByte
		}
	}
	return class
}()

// wordCounts counts words. The map holds positions in a slice of counts: a lookup by a []byte that is converted in place
// does not allocate, an assignment would.
type wordCounts struct {
	index  map[string]int32
	words  []string
	counts []int
	buf    []byte // of the file that is read
}

func newWordCounts() *wordCounts { return &wordCounts{index: make(map[string]int32)} }

func (c *wordCounts) add(word []byte, n int) {
	i, ok := c.index[string(word)]
	if !ok {
		s := string(word)
		i = int32(len(c.words))
		c.index[s] = i
		c.words = append(c.words, s)
		c.counts = append(c.counts, 0)
	}
	c.counts[i] += n
}

// merge adds the counts of another.
func (c *wordCounts) merge(other *wordCounts) {
	for k, word := range other.words {
		i, ok := c.index[word]
		if !ok {
			i = int32(len(c.words))
			c.index[word] = i
			c.words = append(c.words, word)
			c.counts = append(c.counts, 0)
		}
		c.counts[i] += other.counts[k]
	}
}

// scan counts the identifiers of a text.
func (c *wordCounts) scan(text []byte) {
	for i := 0; i < len(text); {
		for i < len(text) && byteClass[text[i]] == 0 {
			i++
		}
		start := i
		for i < len(text) && byteClass[text[i]] != 0 {
			i++
		}
		if start < i && byteClass[text[start]] == wordByte {
			c.add(text[start:i], 1)
		}
	}
}

// file counts the identifiers of a file.
func (c *wordCounts) file(name string) (err error) {
	if c.buf, err = readFile(name, c.buf); err == nil {
		c.scan(c.buf)
	}
	return err
}

// readFile reads a file into a buffer, which grows if it is too small.
func readFile(name string, buf []byte) ([]byte, error) {
	buf = buf[:0]
	f, err := os.Open(name)
	if err != nil {
		return buf, err
	}
	defer f.Close()
	for {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, max(64<<10, cap(buf)))
		}
		n, err := f.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

// identifiers returns how many identifiers were counted in all.
func (c *wordCounts) identifiers() int {
	total := 0
	for _, n := range c.counts {
		total += n
	}
	return total
}

// digest returns the first 16 hexadecimal digits of the SHA-256 of the lines "word count", sorted by word.
func (c *wordCounts) digest() string {
	order := make([]int, len(c.words))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(c.words[a], c.words[b]) })
	h := sha256.New()
	var line []byte
	for _, i := range order {
		line = append(append(line[:0], c.words[i]...), ' ')
		line = append(strconv.AppendInt(line, int64(c.counts[i]), 10), '\n')
		h.Write(line)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

// extra is what a sample shows beside its time.
func (c *wordCounts) extra(files int) map[string]string {
	return map[string]string{
		"digest":      c.digest(),
		"files":       strconv.Itoa(files),
		"identifiers": strconv.Itoa(c.identifiers()),
	}
}

// goSources returns the src folder of the Go installation.
var goSources = sync.OnceValue(func() string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output(); err == nil {
		if root := strings.TrimSpace(string(out)); root != "" {
			return filepath.Join(root, "src")
		}
	}
	//lint:ignore SA1019 the only other way, where the go command is not on PATH
	return filepath.Join(runtime.GOROOT(), "src")
})

// goFiles lists the regular .go files under dir, sorted, by absolute names; dir "" is the Go installation's src.
func goFiles(dir string) ([]string, error) {
	if dir == "" {
		dir = goSources()
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", dir)
	}
	var files []string
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.HasSuffix(path, ".go") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no .go file under %s", dir)
	}
	return files, nil
}
