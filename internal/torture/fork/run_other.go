//go:build !linux || !amd64 || race

package fork

type kase struct{ name string }

var cases []kase

func work(orders) {}
