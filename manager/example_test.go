package manager_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/selfsigned"
	"github.com/fb2d3dbd/multiproc/manager"
	"github.com/fb2d3dbd/multiproc/pool"
	"github.com/fb2d3dbd/multiproc/shm"
)

type shared struct {
	D *manager.Dict[any, any]
	L *manager.List[int]
}

var f = multiproc.NewTarget("manager_test.f", func(ctx context.Context, s shared) error {
	return errors.Join(s.D.Set(ctx, 1, "1"), s.D.Set(ctx, "2", 2), s.D.Set(ctx, 0.25, nil), s.L.Reverse(ctx))
})

// The manager of the document of Python's multiprocessing.
func Example() {
	ctx := context.Background()
	m, err := manager.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	d, err := manager.NewDict[any, any](ctx, m, nil)
	if err != nil {
		log.Fatal(err)
	}
	l, err := manager.NewList(ctx, m, nil, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	if err != nil {
		log.Fatal(err)
	}
	p, err := f.Start(ctx, shared{d, l}, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	all, err := d.All(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for k, v := range all {
		fmt.Printf("%#v: %#v\n", k, v)
	}
	elems, err := l.Copy(ctx)
	fmt.Println(elems, err)
	// Output:
	// 1: "1"
	// "2": 2
	// 0.25: <nil>
	// [9 8 7 6 5 4 3 2 1 0] <nil>
}

// An Account is used by many processes at once.
type Account struct {
	mu      sync.Mutex
	balance int
}

var errNoFunds = errors.New("not enough money")

func init() { multiproc.RegisterError("example.errNoFunds", errNoFunds) }

func (a *Account) Deposit(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.balance += n
	return a.balance
}

func (a *Account) Withdraw(ctx context.Context, n int) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n > a.balance {
		return a.balance, fmt.Errorf("withdraw %d of %d: %w", n, a.balance, errNoFunds)
	}
	a.balance -= n
	return a.balance, nil
}

var accounts = manager.NewType("Account", func(_ context.Context, balance int) (*Account, error) { return &Account{balance: balance}, nil })

func ExampleNewType() {
	ctx := context.Background()
	m, err := manager.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	a, err := accounts.New(ctx, m, 100, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(manager.Call[int](ctx, a, "Deposit", 20))
	fmt.Println(manager.Call[int](ctx, a, "Withdraw", 50))
	_, err = a.Call(ctx, "Withdraw", 500)
	fmt.Println(err, errors.Is(err, errNoFunds))
	_, err = a.Call(ctx, "Deposit", "much")
	fmt.Println(err)
	fmt.Println(a.Methods(ctx))
	// Output:
	// 120 <nil>
	// 70 <nil>
	// withdraw 500 of 70: not enough money true
	// manager: bad value: argument 1 of Account.Deposit(int) is string, not int
	// [Deposit Withdraw] <nil>
}

var cube = manager.NewFunc("cube", func(_ context.Context, n int) (int, error) { return n * n * n, nil })

func ExampleNewFunc() {
	ctx := context.Background()
	m, err := manager.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	fmt.Println(cube.Call(ctx, m, 3))
	// Output: 27 <nil>
}

var (
	double  = pool.NewFunc("example.double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
	doubles = manager.NewPoolType(double)
)

func ExampleNewPoolType() {
	ctx := context.Background()
	m, err := manager.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	p, err := doubles.New(ctx, m, &pool.Options{Workers: 2}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	fmt.Println(p.Map(ctx, []int{1, 2, 3}))
	// Output: [2 4 6] <nil>
}

func ExampleNewSegment() {
	ctx := context.Background()
	m, err := manager.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	s, err := manager.NewSegment(ctx, m, &manager.ObjectOptions{Name: "pixels"}, &shm.Options{Size: 4096})
	if errors.Is(err, errors.ErrUnsupported) {
		fmt.Println("hello")
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	copy(s.Shared().Bytes(), "hello")
	same, err := manager.NewSegment(ctx, m, &manager.ObjectOptions{Name: "pixels", Existing: true}, nil) // in another process, say
	if err != nil {
		log.Fatal(err)
	}
	defer same.Close()
	fmt.Printf("%s\n", same.Shared().Bytes()[:5])
	// Output: hello
}

// A whereabouts is what the clients of other machines have to know, besides the key.
type whereabouts struct {
	Address     string
	Certificate []byte
}

// A server for other machines: its process listens on a network, with TLS and a key, and says where by an object with a name.
var forOthers = manager.NewSetup("example.forOthers", func(ctx context.Context, s *manager.Server, address string) error {
	config, err := selfsigned.Config()
	if err != nil {
		return err
	}
	a, err := s.ListenTLS("tcp", address, config)
	if err != nil {
		return err
	}
	m, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	_, err = manager.NewValue(ctx, m, &manager.ObjectOptions{Name: "whereabouts"}, whereabouts{a.String(), config.Certificates[0].Certificate[0]})
	return err
})

func ExampleSetup() {
	ctx := context.Background()
	secret := []byte("abracadabra")
	m, err := forOthers.Start(ctx, "127.0.0.1:0", &manager.Options{Server: manager.ServerOptions{Key: secret}})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	v, err := manager.NewValue(ctx, m, &manager.ObjectOptions{Name: "whereabouts", Existing: true}, whereabouts{})
	if err != nil {
		log.Fatal(err)
	}
	at, err := v.Get(ctx)
	if err != nil {
		log.Fatal(err)
	}
	config, err := selfsigned.Client(at.Certificate)
	if err != nil {
		log.Fatal(err)
	}
	// On two other machines:
	for _, name := range []string{"ann", "bob"} {
		c, err := manager.Dial(ctx, "tcp", at.Address, &manager.DialOptions{Key: secret, TLS: config})
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		q, err := manager.NewQueue[string](ctx, c, &manager.ObjectOptions{Name: "queue"}, 10)
		if err != nil {
			log.Fatal(err)
		}
		if name == "ann" {
			if err := q.Put(ctx, "hello from ann"); err != nil {
				log.Fatal(err)
			}
			continue
		}
		fmt.Println(q.Get(ctx))
	}
	_, err = manager.Dial(ctx, "tcp", at.Address, &manager.DialOptions{Key: []byte("sesame"), TLS: config})
	fmt.Println(errors.Is(err, manager.ErrAuthentication))
	// Output:
	// hello from ann <nil>
	// true
}
