package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	indexStride  = 4    // every fourth file of the tree is in the index: CPython has to be done with it as well
	indexQueries = 5000 // of a sample
	indexSamples = 64   // files that the words of queries are taken from
)

// An indexInput is what every implementation gets.
type indexInput struct {
	Files   []string
	Queries []string
}

// newIndexInput lists the files of a folder that are to be indexed, and makes n queries: the same for the same files.
func newIndexInput(dir string, n int) (in indexInput, err error) {
	all, err := goFiles(dir)
	if err != nil {
		return in, err
	}
	for i := 0; i < len(all); i += indexStride {
		in.Files = append(in.Files, all[i])
	}
	var texts []*wordCounts
	for i := 0; i < len(in.Files); i += max(1, len(in.Files)/indexSamples) {
		c := newWordCounts()
		if err := c.file(in.Files[i]); err != nil {
			return in, err
		}
		if len(c.words) > 0 {
			texts = append(texts, c)
		}
	}
	if len(texts) == 0 {
		return in, fmt.Errorf("no identifier in %s and %d other files", in.Files[0], len(in.Files)-1)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		in.Queries = append(in.Queries, newQuery(r, i, texts[r.IntN(len(texts))]))
	}
	return in, nil
}

// newQuery makes a query that the given file matches.
func newQuery(r *rand.Rand, i int, text *wordCounts) string {
	word := func() string { return text.words[r.IntN(len(text.words))] }
	switch i % 4 {
	case 0:
		return fmt.Sprintf("%c %s %s", indexAll, word(), word())
	case 1:
		return fmt.Sprintf("%c %s %s %s", indexAll, word(), word(), word())
	case 2:
		w := word()
		return fmt.Sprintf("%c %s", indexPrefix, w[:min(len(w), 3+r.IntN(3))])
	default:
		return fmt.Sprintf("%c %s", indexTop, word())
	}
}

// A session is what clients found out together.
type session struct {
	elapsed time.Duration
	times   latencies
	answers []indexAnswer
}

// runClients has so many clients ask all queries, each one after the other: the next when it has the answer to the one
// before. ask is called by each with its number and the query's.
func runClients(ctx context.Context, clients int, queries []string, ask func(ctx context.Context, client, query int) (indexAnswer, error)) (session, error) {
	s := session{times: newLatencies(), answers: make([]indexAnswer, len(queries))}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	each := make([]latencies, clients)
	for i := range each {
		each[i] = newLatencies()
	}
	begin := time.Now()
	for client := range clients {
		all.Go(func() {
			for {
				q := int(next.Add(1)) - 1
				if q >= len(queries) {
					return
				}
				asked := time.Now()
				a, err := ask(ctx, client, q)
				if err != nil {
					cancel(err)
					return
				}
				each[client].record(int64(time.Since(asked)), 1)
				s.answers[q] = a
			}
		})
	}
	all.Wait()
	s.elapsed = time.Since(begin)
	for _, l := range each {
		s.times.Merge(l.Histogram)
	}
	return s, context.Cause(ctx)
}

// digest returns the first 16 hexadecimal digits of the SHA-256 of the answers, one a line.
func (s session) digest() string {
	var text bytes.Buffer
	for _, a := range s.answers {
		a.appendTo(&text)
	}
	sum := sha256.Sum256(text.Bytes())
	return fmt.Sprintf("%x", sum[:8])
}
