package manager

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/fb2d3dbd/multiproc/internal/fault"
)

// ref is what every proxy is made of: an object of a server's, and one reference to it.
type ref struct {
	m      *Manager
	server uint64
	id     uint64
	kind   kind
	typ    string
	closed atomic.Bool
	stop   runtime.Cleanup
}

// proxy is what all proxies have in common.
type proxy interface{ reference() *ref }

// ObjectOptions are for making an object, or finding it. Nil and the zero value work.
type ObjectOptions struct {
	// Name is the name that others find the object by. The first that asks for it makes the object, which lives until the name is deleted and nobody has
	// a proxy; who comes later gets a proxy of the same object, and what they would have made it of is not looked at.
	Name string
	// Existing refuses, with ErrName, to make an object where none has the name.
	Existing bool
}

// create makes an object, or finds one by its name. args, which may be nil, appends what it is made of.
func (m *Manager) create(ctx context.Context, k kind, typ string, o *ObjectOptions, args func(b []byte) ([]byte, error)) (*ref, error) {
	if o == nil {
		o = &ObjectOptions{}
	}
	if o.Existing && o.Name == "" {
		return nil, refuse(ErrValue, "ObjectOptions.Existing without a Name")
	}
	q := m.request(opNew, 0)
	q.b = appendString(appendString(append(q.b, byte(k)), typ), o.Name)
	if o.Existing {
		q.b = append(q.b, nameMust)
	} else {
		q.b = append(q.b, nameMaybe)
	}
	var made []byte
	if args != nil {
		var err error
		if made, err = args(nil); err != nil {
			q.release()
			return nil, err
		}
	}
	q.b = appendBytes(q.b, made)
	r, err := m.do(ctx, q)
	id := r.uint()
	if err == nil {
		err = r.err()
	}
	if err == nil && slow[k] {
		err = q.confirm()
	}
	q.release()
	if err != nil {
		return nil, err
	}
	return m.hold(id, k, typ), nil
}

// hold makes the reference that this process has got one that is let go when nobody has it any more.
func (m *Manager) hold(id uint64, k kind, typ string) *ref {
	m.held.Add(1)
	m.refMu.Lock()
	m.refs[id]++
	m.refMu.Unlock()
	r := &ref{m: m, server: m.serverID(), id: id, kind: k, typ: typ}
	r.stop = runtime.AddCleanup(r, func(id uint64) { go m.drop(id, true) }, id)
	return r
}

// drop lets a reference go.
func (m *Manager) drop(id uint64, collected bool) {
	m.dropMu.Lock()
	defer m.dropMu.Unlock()
	m.refMu.Lock()
	m.refs[id]--
	if m.refs[id] <= 0 {
		delete(m.refs, id)
	}
	m.refMu.Unlock()
	if m.held.Add(-1) == 0 {
		defer managers.unused(m)
	}
	c := m.cur.Load()
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	d := dropped{id, collected}
	m.drops = append(m.drops, d)
	if err := d.send(ctx, c); err != nil {
		if err != errUnsent { // the link is not broken, and the server takes nothing: it keeps the object for this client
			m.drops = m.drops[:len(m.drops)-1]
		}
		return // a link that is broken has let it go, or the next one says it again
	}
	if len(m.drops) < manyDrops {
		return
	}
	q := m.request(opPing, 0)
	if c.do(ctx, q) == nil { // the server has read what came before
		m.let(m.dropped + uint64(len(m.drops)))
	}
	q.release()
}

// A dropped is a reference that was let go.
type dropped struct {
	id        uint64
	collected bool
}

// manyDrops are not remembered without asking whether the server knows of them.
const manyDrops = 256

func (d dropped) send(ctx context.Context, c *client) error {
	return c.send(ctx, appendBool(begin(nil, opDrop, 0, d.id), d.collected))
}

// let forgets references of which the server knows that they were let go: so many since the session began. m.dropMu is held.
func (m *Manager) let(n uint64) {
	known := min(max(n, m.dropped)-m.dropped, uint64(len(m.drops)))
	m.drops, m.dropped = append([]dropped(nil), m.drops[known:]...), m.dropped+known
}

// request begins a call of the object.
func (r *ref) request(what op) (*request, error) {
	if r == nil {
		return nil, fmt.Errorf("manager: the zero value of a proxy: make the object with its New function: %w", ErrClosed)
	}
	if r.closed.Load() {
		return nil, fmt.Errorf("manager: the proxy: %w", ErrClosed)
	}
	return r.m.request(what, r.id), nil
}

// do sends a request. The answer is valid until the request is released.
func (r *ref) do(ctx context.Context, q *request) (reader, error) {
	out, err := r.m.do(ctx, q)
	runtime.KeepAlive(r)
	return out, err
}

// call does a call that is answered with nothing.
func (r *ref) call(ctx context.Context, q *request) error {
	out, err := r.do(ctx, q)
	if err == nil {
		err = out.err()
	}
	q.release()
	return err
}

// simple does a call without arguments that is answered with nothing.
func (r *ref) simple(ctx context.Context, what op) error {
	q, err := r.request(what)
	if err != nil {
		return err
	}
	return r.call(ctx, q)
}

// ask does a call that is answered with one thing, which read reads.
func ask[T any](ctx context.Context, r *ref, q *request, read func(*reader) T) (answer T, err error) {
	defer q.release()
	out, err := r.do(ctx, q)
	if err != nil {
		return answer, err
	}
	answer = read(&out)
	return answer, out.err()
}

// number does a call without arguments that is answered with a number.
func (r *ref) number(ctx context.Context, what op) (int, error) {
	q, err := r.request(what)
	if err != nil {
		return 0, err
	}
	return ask(ctx, r, q, (*reader).count)
}

// truth does a call without arguments that is answered with yes or no.
func (r *ref) truth(ctx context.Context, what op) (bool, error) {
	q, err := r.request(what)
	if err != nil {
		return false, err
	}
	return ask(ctx, r, q, (*reader).bool)
}

// put appends a value to a request.
func put[T any](r *ref, q *request, v *T) error {
	val, err := putData(r, q, v)
	if err == nil {
		q.b = val.appendRefs(q.b)
	}
	return err
}

// putBare appends a value that is looked for and not kept: what it refers to need not be told.
func putBare[T any](r *ref, q *request, v *T) error {
	_, err := putData(r, q, v)
	return err
}

// putData appends a value's length and bytes.
func putData[T any](r *ref, q *request, v *T) (value, error) {
	// The length comes before the bytes: most are short.
	at := len(q.b)
	val, err := encode(r.server, append(q.b, 0), v)
	if err != nil {
		return value{}, err
	}
	if n := len(val.data); n < 0x80 && at+1+n <= cap(q.b) {
		q.b = q.b[:at+1+n]
		q.b[at] = byte(n)
		copy(q.b[at+1:], val.data) // onto itself, unless the buffer has grown
	} else {
		q.b = appendBytes(q.b[:at:at], val.data)
	}
	return val, nil
}

// close lets the reference go.
func (r *ref) close() error {
	if r == nil || r.closed.Swap(true) {
		return nil
	}
	r.stop.Stop()
	r.m.drop(r.id, false)
	return nil
}

// A handle is a proxy on its way to another process.
type handle struct {
	server           uint64
	network, address string // none where the key must not go along
	key              []byte
	kind             kind
	typ              string
	object, ticket   uint64
}

// marshal makes a handle of the reference, for which the server keeps the object. The handle of a server of this machine has the server's key in it: it is for messages
// that others cannot read.
func (r *ref) marshal() ([]byte, error) {
	h, err := r.pin()
	if err != nil {
		return nil, err
	}
	return h.append(nil), nil
}

// pin has the server keep the object for a handle.
func (r *ref) pin() (*handle, error) {
	if r == nil {
		return nil, fmt.Errorf("manager: the zero value of a proxy cannot be sent: make the object with its New function")
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	q, err := r.request(opPin)
	if err != nil {
		return nil, err
	}
	defer q.release()
	out, err := r.do(ctx, q)
	if err != nil {
		return nil, err
	}
	fault.Point("manager.proxy.pinned")
	h := &handle{server: r.server, kind: r.kind, typ: r.typ, object: r.id, ticket: out.uint()}
	if err := out.err(); err != nil {
		return nil, err
	}
	if r.m.network == "ring" || r.m.network == "unix" {
		h.network, h.address, h.key = r.m.network, r.m.address, r.m.o.Key
	}
	return h, nil
}

func (h *handle) append(b []byte) []byte {
	b = binary.AppendUvarint(b, h.server)
	b = appendBytes(appendString(appendString(b, h.network), h.address), h.key)
	b = appendString(append(b, byte(h.kind)), h.typ)
	return binary.AppendUvarint(binary.AppendUvarint(b, h.object), h.ticket)
}

func (h *handle) read(b []byte) error {
	r := reader{b: b}
	h.server = r.uint()
	h.network, h.address, h.key = r.string(), r.string(), append([]byte(nil), r.bytes()...)
	h.kind, h.typ = kind(r.byte()), r.string()
	h.object, h.ticket = r.uint(), r.uint()
	return r.err()
}

// unmarshal opens the object whose handle b is, for a proxy of the kind and type.
func unmarshal(b []byte, k kind, typ string) (*ref, error) {
	var h handle
	if err := h.read(b); err != nil {
		return nil, err
	}
	if h.kind != k || h.typ != typ {
		return nil, refuse(ErrName, "the proxy is of a %s, not of a %s", describe(h.kind, h.typ), describe(k, typ))
	}
	m, err := managers.of(&h)
	if err != nil {
		return nil, err
	}
	defer managers.opened(m)
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	q := m.request(opAttach, h.object)
	q.b = appendString(append(appendUint64(q.b, h.ticket), byte(k)), typ)
	if err := m.call(ctx, q); err != nil {
		return nil, err
	}
	fault.Point("manager.proxy.attached")
	return m.hold(h.object, k, typ), nil
}
