package manager_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/fb2d3dbd/multiproc/internal/proctest"
	"github.com/fb2d3dbd/multiproc/manager"
)

// A step is one operation of a history: what was asked, and what came of it.
type step struct {
	what   string
	key    int
	x, y   int  // arguments
	out    int  // the value that was returned
	ok     bool // whether there was one, or whether it was done
	failed bool // it was given up: it was not done
}

// dictKey is the specification of one key of a dictionary of ints.
type dictKey struct {
	has bool
	v   int
}

func (s dictKey) after(st step) (dictKey, bool) {
	if st.failed {
		return s, true
	}
	switch st.what {
	case "get":
		return s, st.ok == s.has && (!s.has || st.out == s.v)
	case "set":
		return dictKey{true, st.x}, true
	case "delete":
		return dictKey{}, st.ok == s.has
	case "pop":
		return dictKey{}, st.ok == s.has && (!s.has || st.out == s.v)
	case "swap":
		return dictKey{true, st.x}, st.ok == s.has && (!s.has || st.out == s.v)
	case "cas":
		if s.has && s.v == st.x {
			return dictKey{true, st.y}, st.ok
		}
		return s, !st.ok
	case "add":
		if s.has {
			return s, !st.ok
		}
		return dictKey{true, st.x}, st.ok
	case "update":
		v := s.v + st.x
		return dictKey{v != 0, v * btoi(v != 0)}, st.ok == (v != 0) && (!st.ok || st.out == v)
	}
	return s, false
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

var dictModel = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		by := map[int][]porcupine.Operation{}
		for _, o := range all {
			by[o.Input.(step).key] = append(by[o.Input.(step).key], o)
		}
		var parts [][]porcupine.Operation
		for _, p := range by {
			parts = append(parts, p)
		}
		return parts
	},
	Init: func() any { return dictKey{} },
	Step: func(state, in, _ any) (bool, any) {
		next, legal := state.(dictKey).after(in.(step))
		return legal, next
	},
}

// sum is an update that takes a key out when it comes to 0.
var sum = manager.NewUpdate("sum", func(_ context.Context, old int, _ bool, n int) (int, bool, error) { return old + n, old+n != 0, nil })

// dictStep does something with a key.
func dictStep(ctx context.Context, d *manager.Dict[int, int], rng *rand.Rand) (st step, err error) {
	st = step{key: rng.IntN(3), x: 1 + rng.IntN(3), y: 1 + rng.IntN(3)}
	switch rng.IntN(8) {
	case 0:
		st.what = "get"
		st.out, err = d.Get(ctx, st.key)
		st.ok = err == nil
	case 1:
		st.what = "set"
		err = d.Set(ctx, st.key, st.x)
	case 2:
		st.what = "delete"
		err = d.Delete(ctx, st.key)
		st.ok = err == nil
	case 3:
		st.what = "pop"
		st.out, err = d.Pop(ctx, st.key)
		st.ok = err == nil
	case 4:
		st.what = "swap"
		st.out, st.ok, err = d.Swap(ctx, st.key, st.x)
	case 5:
		st.what = "cas"
		st.ok, err = d.CompareAndSwap(ctx, st.key, st.x, st.y)
	case 6:
		st.what = "add"
		st.ok, err = d.Add(ctx, st.key, st.x)
	case 7:
		st.what = "update"
		st.x -= 2
		st.out, st.ok, err = manager.UpdateDict(ctx, d, st.key, sum, st.x)
	}
	if errors.Is(err, manager.ErrKey) {
		err = nil
	}
	return st, err
}

// history has several clients, each with goroutines that give up now and then, do steps on one object, and returns what happened.
func history(t *testing.T, clients int, steps int, do func(client int, ctx context.Context, rng *rand.Rand) (step, error)) []porcupine.Operation {
	ctx := proctest.Context(t)
	var mu sync.Mutex
	var all []porcupine.Operation
	var wait sync.WaitGroup
	begin := time.Now()
	for c := range clients {
		for g := range 2 {
			wait.Go(func() {
				rng := rand.New(rand.NewPCG(rand.Uint64(), uint64(c)))
				for range steps {
					limit, cancel := ctx, context.CancelFunc(func() {})
					if rng.IntN(5) == 0 {
						limit, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(100))*time.Microsecond)
					}
					from := time.Since(begin)
					st, err := do(c, limit, rng)
					to := time.Since(begin)
					gaveUp := limit.Err() != nil && errors.Is(err, limit.Err()) && !errors.Is(err, manager.ErrLost)
					cancel()
					if err != nil && !gaveUp {
						t.Error(err)
						return
					}
					st.failed = gaveUp
					mu.Lock()
					all = append(all, porcupine.Operation{ClientId: c*2 + g, Input: st, Output: st, Call: int64(from), Return: int64(to)})
					mu.Unlock()
				}
			})
		}
	}
	wait.Wait()
	return all
}

// clientsOfAll are connections to one server, over every transport.
func clientsOfAll(t *testing.T) (s *manager.Server, all []*manager.Manager) {
	s = serve(t, nil)
	for _, transport := range transports {
		all = append(all, dial(t, s, transport))
	}
	return s, all
}

func judge(t *testing.T, m porcupine.Model, all []porcupine.Operation) {
	t.Helper()
	if r := porcupine.CheckOperationsTimeout(m, all, time.Minute); r == porcupine.Illegal {
		for _, o := range all {
			t.Logf("%2d %8d-%8d %+v", o.ClientId, o.Call, o.Return, o.Input)
		}
		t.Fatal("the history is not linearizable")
	}
}

// TestDictLinearizable checks histories of a dictionary that clients over all transports use, of which some calls are given up.
func TestDictLinearizable(t *testing.T) {
	_, ms := clientsOfAll(t)
	for round := range 5 {
		var ds []*manager.Dict[int, int]
		for _, m := range ms {
			ds = append(ds, must[*manager.Dict[int, int]](t)(manager.NewDict[int, int](proctest.Context(t), m, &manager.ObjectOptions{Name: fmt.Sprint(round)})))
		}
		judge(t, dictModel, history(t, len(ms), 60, func(c int, ctx context.Context, rng *rand.Rand) (step, error) { return dictStep(ctx, ds[c], rng) }))
	}
}

// TestHistoriesAreJudged has the judge find what cannot be.
func TestHistoriesAreJudged(t *testing.T) {
	op := func(client int, st step, from, to int64) porcupine.Operation {
		return porcupine.Operation{ClientId: client, Input: st, Output: st, Call: from, Return: to}
	}
	for name, all := range map[string][]porcupine.Operation{
		"a lost update":                 {op(0, step{what: "set", x: 1}, 0, 1), op(1, step{what: "get"}, 2, 3)},
		"a stale value":                 {op(0, step{what: "set", x: 1}, 0, 1), op(0, step{what: "set", x: 2}, 2, 3), op(1, step{what: "get", out: 1, ok: true}, 4, 5)},
		"two that have added":           {op(0, step{what: "add", x: 1, ok: true}, 0, 5), op(1, step{what: "add", x: 2, ok: true}, 0, 5)},
		"a call given up that was done": {op(0, step{what: "set", x: 1, failed: true}, 0, 1), op(1, step{what: "get", out: 1, ok: true}, 2, 3)},
	} {
		if porcupine.CheckOperations(dictModel, all) {
			t.Errorf("%s was found linearizable", name)
		}
	}
}

// listModel is the specification of a list of ints: its state is the list as text, so that states can be compared.
var listModel = porcupine.Model{
	Init:  func() any { return []int(nil) },
	Equal: func(a, b any) bool { return slices.Equal(a.([]int), b.([]int)) },
	Step: func(state, in, _ any) (bool, any) {
		l, st := slices.Clone(state.([]int)), in.(step)
		if st.failed {
			return true, l
		}
		switch st.what {
		case "append":
			return true, append(l, st.x, st.y)
		case "insert":
			return true, slices.Insert(l, min(st.key, len(l)), st.x)
		case "pop":
			if len(l) == 0 {
				return !st.ok, l
			}
			return st.ok && st.out == l[len(l)-1], l[:len(l)-1]
		case "at":
			return st.ok == (st.key < len(l)) && (!st.ok || st.out == l[st.key]), l
		case "len":
			return st.out == len(l), l
		case "reverse":
			slices.Reverse(l)
			return true, l
		case "sort":
			slices.Sort(l)
			return true, l
		case "remove":
			i := slices.Index(l, st.x)
			if i >= 0 {
				l = slices.Delete(l, i, i+1)
			}
			return st.out == i, l
		}
		return false, l
	},
}

// TestListLinearizable checks histories of a list.
func TestListLinearizable(t *testing.T) {
	_, ms := clientsOfAll(t)
	for round := range 5 {
		var ls []*manager.List[int]
		for _, m := range ms {
			ls = append(ls, must[*manager.List[int]](t)(manager.NewList[int](proctest.Context(t), m, &manager.ObjectOptions{Name: fmt.Sprint(round)})))
		}
		judge(t, listModel, history(t, len(ms), 12, func(c int, ctx context.Context, rng *rand.Rand) (st step, err error) {
			l := ls[c]
			st = step{key: rng.IntN(4), x: rng.IntN(9), y: rng.IntN(9)}
			switch rng.IntN(8) {
			case 0:
				st.what, err = "append", l.Append(ctx, st.x, st.y)
			case 1:
				st.what, err = "insert", l.Insert(ctx, st.key, st.x)
			case 2:
				st.what = "pop"
				st.out, err = l.Pop(ctx, -1)
				st.ok = err == nil
			case 3:
				st.what = "at"
				st.out, err = l.At(ctx, st.key)
				st.ok = err == nil
			case 4:
				st.what = "len"
				st.out, err = l.Len(ctx)
			case 5:
				st.what, err = "reverse", l.Reverse(ctx)
			case 6:
				st.what, err = "sort", l.Sort(ctx)
			case 7:
				st.what = "remove"
				st.out, err = l.Remove(ctx, st.x)
			}
			if errors.Is(err, manager.ErrEmpty) || errors.Is(err, manager.ErrIndex) {
				err = nil
			}
			return st, err
		}))
	}
}
