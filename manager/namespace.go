package manager

import "context"

// A Namespace is a set of named values of any types in a server. Each operation is one step for everybody.
type Namespace struct{ d *Dict[string, any] }

// NewNamespace makes a Namespace.
func NewNamespace(ctx context.Context, m *Manager, o *ObjectOptions) (*Namespace, error) {
	r, err := m.create(ctx, kindNamespace, "", o, nil)
	if err != nil {
		return nil, err
	}
	return &Namespace{&Dict[string, any]{r}}, nil
}

func (n *Namespace) reference() *ref {
	if n.d == nil {
		return nil
	}
	return n.d.r
}

func (n *Namespace) dict() *Dict[string, any] {
	if n.d == nil {
		return &Dict[string, any]{}
	}
	return n.d
}

// Get returns the value of a name, or ErrKey. Its type is that of the value which was set; this process has to know it, see multiproc.Register.
func (n *Namespace) Get(ctx context.Context, name string) (any, error) {
	return n.dict().Get(ctx, name)
}

// Set gives a name a value.
func (n *Namespace) Set(ctx context.Context, name string, v any) error {
	return n.dict().Set(ctx, name, v)
}

// Delete takes a name out, or returns ErrKey.
func (n *Namespace) Delete(ctx context.Context, name string) error { return n.dict().Delete(ctx, name) }

// Has reports whether there is a name.
func (n *Namespace) Has(ctx context.Context, name string) (bool, error) {
	return n.dict().Has(ctx, name)
}

// Copy returns the names and values as they are at one instant.
func (n *Namespace) Copy(ctx context.Context) (map[string]any, error) { return n.dict().Copy(ctx) }

// Close lets the Namespace go. It ends when nobody refers to it. A second Close does nothing.
func (n *Namespace) Close() error { return n.dict().Close() }

// MarshalBinary returns the Namespace's handle, for another process. It asks the server to keep the Namespace until the handle is opened.
func (n *Namespace) MarshalBinary() ([]byte, error) { return n.reference().marshal() }

// UnmarshalBinary opens the Namespace whose handle b is.
func (n *Namespace) UnmarshalBinary(b []byte) error {
	r, err := unmarshal(b, kindNamespace, "")
	n.d = &Dict[string, any]{r}
	return err
}
