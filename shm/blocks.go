package shm

// Blocks are pieces of the arena for what is too large for a message queue's own memory: the ringbuf.Blocks of the pipes in the segment. A block's name is
// its Ref's 32 bytes.
type Blocks struct{ seg *Segment }

// Blocks returns the segment's arena as Blocks.
func (s *Segment) Blocks() Blocks { return Blocks{s} }

// Reserve takes a block of n bytes, which is this process's own until Publish; see [Segment.Reserve].
func (b Blocks) Reserve(n int) (name [32]byte, err error) {
	ref, err := b.seg.Reserve(KindBlock, n)
	if err != nil {
		return name, err
	}
	_, err = ref.AppendBinary(name[:0])
	return name, err
}

// Publish has a block live until it is freed, whoever dies; see [Segment.Publish].
func (b Blocks) Publish(name [32]byte) error {
	ref, err := refOf(name)
	if err != nil {
		return err
	}
	return b.seg.Publish(ref)
}

// At returns the bytes of a block.
func (b Blocks) At(name [32]byte) ([]byte, error) {
	ref, err := refOf(name)
	if err != nil {
		return nil, err
	}
	return b.seg.At(ref, KindBlock)
}

// Free gives a block back. To do it again is an error and harms nothing.
func (b Blocks) Free(name [32]byte) error {
	ref, err := refOf(name)
	if err != nil {
		return err
	}
	if _, err := b.seg.At(ref, KindBlock); err != nil { // or it is an object of another kind
		return err
	}
	return b.seg.Free(ref)
}

func refOf(name [32]byte) (ref Ref, err error) {
	err = ref.UnmarshalBinary(name[:])
	return ref, err
}
