//go:build !linux

package proctest

func look() scene { return scene{goroutines: goroutines()} }
