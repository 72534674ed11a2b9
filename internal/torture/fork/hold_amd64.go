package fork

// hasAVX reports whether there are registers of 32 bytes.
func hasAVX() bool

// hold loads the vector registers from in, spins, and stores them to out: all sixteen of 32 bytes with AVX, and otherwise the lower half of
// eight. A thread that is in it when the process forks must find them in both processes.
//
//go:noescape
func hold(in, out *[512]byte, spins uint64, avx bool)
