package conn

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
)

// The handshake is that of CPython's multiprocessing.connection. Each side proves to the other that it has the key, the listener asks first:
//
//	who asks                                  who answers
//	#CHALLENGE# and a challenge           →
//	                                      ←   the answer
//	#WELCOME# or #FAILURE#                →
//
// Since CPython 3.12 the challenge begins with the name of a digest in braces, {sha256}, and 40 random bytes follow; the answer is the name in braces and the
// HMAC of the whole challenge, name included, so that nobody in between can talk the two into a weaker digest. Before, the challenge was 20 random bytes and the answer their
// HMAC-MD5, without a name. A peer before 3.12 that is asked in the new form answers in the old one, for it takes the whole for random bytes.
const (
	challengeMark = "#CHALLENGE#"
	welcomeMark   = "#WELCOME#"
	failureMark   = "#FAILURE#"

	maxHandshake    = 256 // bytes of a message
	randomLength    = 40  // of a challenge in the new form
	oldLength       = 20  // of a challenge in the old form, and the least of any
	ownDigest       = "sha256"
	longestDigest   = len("sha3_256")
	oldAnswerLength = md5.Size
)

var digests = map[string]func() hash.Hash{
	"md5":      md5.New,
	"sha256":   sha256.New,
	"sha384":   sha512.New384,
	"sha3_256": func() hash.Hash { return sha3.New256() },
	"sha3_384": func() hash.Hash { return sha3.New384() },
}

var errEmptyKey = errors.New("conn: an empty key is no secret: give one, or nil for no authentication")

// checkKey refuses a key that is given and empty.
func checkKey(key []byte) error {
	if key != nil && len(key) == 0 {
		return errEmptyKey
	}
	return nil
}

// authenticate is the handshake on one side: first says that this side asks first, as the listener does.
func (c *Conn) authenticate(ctx context.Context, key []byte, first bool) error {
	steps := [2]func(context.Context, []byte) error{c.challenge, c.answer}
	if !first {
		steps[0], steps[1] = steps[1], steps[0]
	}
	for _, step := range steps {
		if err := step(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// challenge has the peer prove that it has the key.
func (c *Conn) challenge(ctx context.Context, key []byte) error {
	message := newChallenge()
	if err := c.SendBytes(ctx, append([]byte(challengeMark), message...)); err != nil {
		return refused(err)
	}
	answer, err := c.RecvBytesLimit(ctx, maxHandshake)
	if err != nil {
		return refused(err)
	}
	if err := verify(key, message, answer); err != nil {
		_ = c.SendBytes(ctx, []byte(failureMark)) // the peer may be gone
		return err
	}
	return refused(c.SendBytes(ctx, []byte(welcomeMark)))
}

// answer proves to the peer that this side has the key.
func (c *Conn) answer(ctx context.Context, key []byte) error {
	message, err := c.RecvBytesLimit(ctx, maxHandshake)
	if err != nil {
		return refused(err)
	}
	answer, err := respond(key, message)
	if err != nil {
		return err
	}
	if err := c.SendBytes(ctx, answer); err != nil {
		return refused(err)
	}
	verdict, err := c.RecvBytesLimit(ctx, maxHandshake)
	if err != nil {
		return refused(err)
	}
	if string(verdict) != welcomeMark {
		return fmt.Errorf("%w: the peer does not accept the key", ErrAuthentication)
	}
	return nil
}

// refused says that the handshake has come to nothing.
func refused(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrAuthentication, err)
}

func newChallenge() []byte {
	b := make([]byte, 0, len(ownDigest)+2+randomLength)
	b = append(append(append(b, '{'), ownDigest...), '}')
	n := len(b)
	b = b[:n+randomLength]
	rand.Read(b[n:]) // never fails
	return b
}

// cutDigest splits a challenge or an answer into the name of its digest and the rest. The name is "" in the old form.
func cutDigest(b []byte) (name string, rest []byte, err error) {
	if len(b) == oldLength || len(b) == oldAnswerLength {
		return "", b, nil
	}
	if rest, ok := bytes.CutPrefix(b, []byte("{")); ok {
		if i := bytes.IndexByte(rest[:min(len(rest), longestDigest+1)], '}'); i > 0 {
			if digests[string(rest[:i])] != nil {
				return string(rest[:i]), rest[i+1:], nil
			}
		}
	}
	return "", nil, fmt.Errorf("%w: %d bytes that are neither of the old form nor begin with a known digest", ErrAuthentication, len(b))
}

// respond returns the answer to a message that should be a challenge.
func respond(key, message []byte) ([]byte, error) {
	challenge, ok := bytes.CutPrefix(message, []byte(challengeMark))
	if !ok || len(challenge) < oldLength {
		return nil, fmt.Errorf("%w: the peer does not ask for the key", ErrAuthentication)
	}
	name, _, err := cutDigest(challenge)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return mac("md5", key, challenge), nil
	}
	return append([]byte("{"+name+"}"), mac(name, key, challenge)...), nil
}

// verify checks the answer to a challenge of this side.
func verify(key, challenge, answer []byte) error {
	name, got, err := cutDigest(answer)
	if err != nil {
		return err
	}
	if name == "" {
		name = "md5"
	}
	if !hmac.Equal(got, mac(name, key, challenge)) {
		return fmt.Errorf("%w: the peer has another key", ErrAuthentication)
	}
	return nil
}

func mac(digest string, key, message []byte) []byte {
	h := hmac.New(digests[digest], key)
	h.Write(message)
	return h.Sum(nil)
}
