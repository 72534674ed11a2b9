//go:build amd64 && !race && !msan && !asan

package fork

var Version = version
