package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/fb2d3dbd/multiproc"
)

// resultBytes is how large the messages are in which a worker sends what it has counted.
const resultBytes = 32 << 10

// A countArg is what a counting process works on.
type countArg struct {
	Files   *multiproc.Queue[[]string]
	Results *multiproc.Queue[[]byte] // see appendCount; an empty message ends a worker's counts
	Ready   *multiproc.Queue[struct{}]
}

var countTarget = multiproc.NewTarget("bench.wordcount", func(ctx context.Context, a countArg) error {
	counts := newWordCounts()
	if err := a.Ready.Put(ctx, struct{}{}); err != nil {
		return err
	}
	for {
		names, err := a.Files.Get(ctx)
		if errors.Is(err, multiproc.ErrClosed) {
			break
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := counts.file(name); err != nil {
				return err
			}
		}
	}
	msg := make([]byte, 0, resultBytes)
	for i, word := range counts.words {
		if len(msg) > 0 && len(msg)+len(word)+2*binary.MaxVarintLen64 > resultBytes {
			if err := a.Results.Put(ctx, msg); err != nil {
				return err
			}
			msg = msg[:0]
		}
		msg = appendCount(msg, word, counts.counts[i])
	}
	if len(msg) > 0 {
		if err := a.Results.Put(ctx, msg); err != nil {
			return err
		}
	}
	return a.Results.Put(ctx, nil)
})

// appendCount appends a word and its count: the word's length, the word, the count, both numbers as varints.
func appendCount(msg []byte, word string, n int) []byte {
	msg = binary.AppendUvarint(msg, uint64(len(word)))
	msg = append(msg, word...)
	return binary.AppendUvarint(msg, uint64(n))
}

// mergeMessage adds the counts of a message.
func (c *wordCounts) mergeMessage(msg []byte) error {
	for len(msg) > 0 {
		length, k := binary.Uvarint(msg)
		if k <= 0 || length > uint64(len(msg)-k) {
			return errTorn
		}
		word := msg[k:][:length]
		msg = msg[k+int(length):]
		n, k := binary.Uvarint(msg)
		if k <= 0 {
			return errTorn
		}
		msg = msg[k:]
		c.add(word, int(n))
	}
	return nil
}

// multiprocWordcount counts by processes that are fed through a queue in shared memory.
func multiprocWordcount(dir string, workers int) Impl {
	return wordcountImpl("multiproc", multiprocMissing, dir, func(ctx context.Context, files []string) (Result, error) {
		return multiprocCount(ctx, files, workers)
	})
}

func multiprocCount(ctx context.Context, files []string, workers int) (r Result, err error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	var a countArg
	if a.Files, err = multiproc.NewQueue[[]string](nil); err != nil {
		return Result{}, err
	}
	defer a.Files.Free()
	if a.Results, err = multiproc.NewQueue[[]byte](&multiproc.QueueOptions{Bytes: 1 << 20}); err != nil {
		return Result{}, err
	}
	defer a.Results.Free()
	if a.Ready, err = multiproc.NewQueue[struct{}](nil); err != nil {
		return Result{}, err
	}
	defer a.Ready.Free()

	ctx, cancel := context.WithCancelCause(ctx) // the cause: what went wrong with a process
	defer cancel(nil)
	c := newCrew(cancel)
	defer func() { err = c.dismiss(ctx, err) }()
	for range workers {
		if err := addToCrew(ctx, c, countTarget, a); err != nil {
			return Result{}, err
		}
	}
	for range workers {
		if _, err := a.Ready.Get(ctx); err != nil {
			return Result{}, err
		}
	}

	begin := time.Now()
	for batch := range slices.Chunk(files, filesPerMessage) {
		if err := a.Files.Put(ctx, batch); err != nil {
			return Result{}, err
		}
	}
	if err := a.Files.Close(); err != nil {
		return Result{}, err
	}
	total := newWordCounts()
	for ended := 0; ended < workers; {
		msg, err := a.Results.Get(ctx)
		if err != nil {
			return Result{}, err
		}
		if len(msg) == 0 {
			ended++
		}
		if err := total.mergeMessage(msg); err != nil {
			return Result{}, err
		}
	}
	elapsed := time.Since(begin)
	return Result{Ops: 1, Elapsed: elapsed, Extra: total.extra(len(files))}, nil
}
