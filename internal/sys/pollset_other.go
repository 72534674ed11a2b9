//go:build !linux

package sys

// A PollSet waits until any of many descriptors can be read.
type PollSet struct{}

// NewPollSet is not available.
func NewPollSet() (*PollSet, error) { return nil, Unsupported("waiting for many descriptors") }

// Add does nothing.
func (p *PollSet) Add(fd, key int) error { return Unsupported("waiting for many descriptors") }

// Look reports false.
func (p *PollSet) Look(fn func(key int)) bool { return false }

// Wait is not available.
func (p *PollSet) Wait() error { return Unsupported("waiting for many descriptors") }

// Close does nothing.
func (p *PollSet) Close() {}
