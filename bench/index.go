package bench

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
)

// An indexShard is an inverted index of some of the files: where each identifier stands. It lives on the heap as a programmer
// would write it, in a map of pointers to slices of pointers: this is what a garbage collector has to walk through.
type indexShard struct {
	terms map[string]*indexTerm
	words []*indexTerm // sorted; made by finish
	buf   []byte       // of the file that is read
}

// An indexTerm is an identifier, and the files it stands in, in their order.
type indexTerm struct {
	word     string
	count    int // of all its occurrences
	postings []*indexPosting
}

// An indexPosting is the places of an identifier in one file.
type indexPosting struct {
	file  *indexFile
	lines []int32 // of every occurrence, ascending, from 1
}

// An indexFile is a file by its number among all of the job.
type indexFile struct {
	number int32
	name   string
}

// indexCounts are what an index holds.
type indexCounts struct {
	Identifiers int // occurrences
	Postings    int // identifiers of each file
	Digest      uint64
}

func newIndexShard() *indexShard { return &indexShard{terms: make(map[string]*indexTerm)} }

// file adds a file. Files come in ascending order of their numbers.
func (x *indexShard) file(number int, name string) (err error) {
	if x.buf, err = readFile(name, x.buf); err == nil {
		x.scan(&indexFile{int32(number), name}, x.buf)
	}
	return err
}

// files adds a batch of files, of which the first has the given number.
func (x *indexShard) files(first int, names []string) error {
	for i, name := range names {
		if err := x.file(first+i, name); err != nil {
			return err
		}
	}
	return nil
}

// scan adds the identifiers of a text, which are those of wordCounts.scan.
func (x *indexShard) scan(file *indexFile, text []byte) {
	line := int32(1)
	for i := 0; i < len(text); {
		for i < len(text) && byteClass[text[i]] == 0 {
			if text[i] == '\n' {
				line++
			}
			i++
		}
		start := i
		for i < len(text) && byteClass[text[i]] != 0 {
			i++
		}
		if start < i && byteClass[text[start]] == wordByte {
			x.add(text[start:i], file, line)
		}
	}
}

func (x *indexShard) add(word []byte, file *indexFile, line int32) {
	t := x.terms[string(word)]
	if t == nil {
		t = &indexTerm{word: string(word)}
		x.terms[t.word] = t
	}
	t.count++
	if n := len(t.postings); n > 0 && t.postings[n-1].file == file {
		p := t.postings[n-1]
		p.lines = append(p.lines, line)
		return
	}
	t.postings = append(t.postings, &indexPosting{file, []int32{line}})
}

// finish ends the building: from now on the shard answers, and nobody changes it.
func (x *indexShard) finish() {
	x.buf = nil
	x.words = make([]*indexTerm, 0, len(x.terms))
	for _, t := range x.terms {
		x.words = append(x.words, t)
	}
	slices.SortFunc(x.words, func(a, b *indexTerm) int { return cmp.Compare(a.word, b.word) })
}

// counts returns what the shard holds, and a digest of it: a sum, so that those of shards add up to the same however the
// files have been divided.
func (x *indexShard) counts() (c indexCounts) {
	var buf []byte
	for _, t := range x.words {
		c.Identifiers += t.count
		c.Postings += len(t.postings)
		for _, p := range t.postings {
			buf = append(append(buf[:0], t.word...), ' ')
			buf = strconv.AppendInt(buf, int64(p.file.number), 10)
			for _, line := range p.lines {
				buf = binary.LittleEndian.AppendUint32(buf, uint32(line))
			}
			c.Digest += uint64(crc32.ChecksumIEEE(buf))
		}
	}
	return c
}

func (c *indexCounts) add(other indexCounts) {
	c.Identifiers += other.Identifiers
	c.Postings += other.Postings
	c.Digest += other.Digest
}

// indexBest is how many hits an answer has at the most.
const indexBest = 10

// An indexAnswer is the answer to a query, of one shard or of all. Number is of all that match, Hits are the first of them.
type indexAnswer struct {
	Number int
	Hits   []indexHit
}

// An indexHit is a word, or a place in a file, and how much it counts.
type indexHit struct {
	Word       string
	File, Line int32
	Count      int
}

// The queries. They travel as text, a letter and words: "c err nil".
const (
	indexAll    = 'c' // the files that have all of the words, by how often they have them; Line is where the first of the words stands first
	indexPrefix = 'p' // the words that begin with the word, in their order, by how often they stand anywhere
	indexTop    = 't' // the files that have the word, as indexAll
)

// answer answers a query from this shard alone.
func (x *indexShard) answer(query string) indexAnswer {
	words := strings.Fields(query)
	if len(words) < 2 {
		return indexAnswer{}
	}
	if words[0][0] == indexPrefix {
		return x.withPrefix(words[1])
	}
	return x.withAll(words[1:])
}

func (x *indexShard) withPrefix(prefix string) (a indexAnswer) {
	i, _ := slices.BinarySearchFunc(x.words, prefix, func(t *indexTerm, prefix string) int { return cmp.Compare(t.word, prefix) })
	for _, t := range x.words[i:] {
		if !strings.HasPrefix(t.word, prefix) {
			break
		}
		a.Number += t.count
		if len(a.Hits) < indexBest {
			a.Hits = append(a.Hits, indexHit{Word: t.word, Count: t.count})
		}
	}
	return a
}

func (x *indexShard) withAll(words []string) (a indexAnswer) {
	var hits []indexHit
	for i, word := range words {
		t := x.terms[word]
		if t == nil {
			return a
		}
		if i == 0 {
			hits = make([]indexHit, len(t.postings))
			for k, p := range t.postings {
				hits[k] = indexHit{File: p.file.number, Line: p.lines[0], Count: len(p.lines)}
			}
			continue
		}
		kept := hits[:0]
		rest := t.postings
		for _, h := range hits {
			for len(rest) > 0 && rest[0].file.number < h.File {
				rest = rest[1:]
			}
			if len(rest) > 0 && rest[0].file.number == h.File {
				h.Count += len(rest[0].lines)
				kept = append(kept, h)
			}
		}
		hits = kept
	}
	a.Number, a.Hits = len(hits), hits
	a.Hits = slices.Clone(best(hits, byCount)) // what is kept of it is not to keep the rest
	return a
}

// byCount orders files, the one with the greatest count first.
func byCount(a, b indexHit) int {
	return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.File, b.File))
}

func byWord(a, b indexHit) int { return cmp.Compare(a.Word, b.Word) }

// best sorts hits and returns the first of them.
func best(hits []indexHit, order func(a, b indexHit) int) []indexHit {
	slices.SortFunc(hits, order)
	return hits[:min(len(hits), indexBest)]
}

// mergeAnswers makes one answer of those that the shards gave to a query.
func mergeAnswers(query string, parts []indexAnswer) (a indexAnswer) {
	if len(parts) == 1 {
		return parts[0]
	}
	for _, p := range parts {
		a.Number += p.Number
		a.Hits = append(a.Hits, p.Hits...)
	}
	if query[0] != indexPrefix {
		a.Hits = best(a.Hits, byCount)
		return a
	}
	slices.SortFunc(a.Hits, byWord)
	var hits []indexHit
	for _, h := range a.Hits { // several shards have the same word
		if n := len(hits); n > 0 && hits[n-1].Word == h.Word {
			hits[n-1].Count += h.Count
		} else {
			hits = append(hits, h)
		}
	}
	a.Hits = hits[:min(len(hits), indexBest)]
	return a
}

// answerAll answers a query from all shards, one after the other.
func answerAll(shards []*indexShard, query string) indexAnswer {
	parts := make([]indexAnswer, len(shards))
	for i, x := range shards {
		parts[i] = x.answer(query)
	}
	return mergeAnswers(query, parts)
}

// appendTo appends the answer as a line of text, for the digest.
func (a indexAnswer) appendTo(b *bytes.Buffer) {
	b.WriteString(strconv.Itoa(a.Number))
	for _, h := range a.Hits {
		b.WriteByte(' ')
		b.WriteString(h.Word)
		for _, n := range []int{int(h.File), int(h.Line), h.Count} {
			b.WriteByte(':')
			b.WriteString(strconv.Itoa(n))
		}
	}
	b.WriteByte('\n')
}
