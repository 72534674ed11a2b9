// Package manager holds objects in a server process and lets other processes use them, on this machine over shared memory and from others over TLS: dictionaries, lists, sets,
// values, queues, locks, pools, and objects of types of your own.
//
//	m, err := manager.Start(ctx, nil) // a server in a process of its own
//	...
//	defer m.Close()
//	d, err := manager.NewDict[string, int](ctx, m, nil)
//	...
//	err = d.Set(ctx, "one", 1)
//
// A proxy such as d may be part of the argument of a Start, of messages, and of other objects of the server: whoever gets it uses the same object. An object lives as long as
// anybody has a proxy of it, or it has a name. A client that dies, however it dies, has none any more; its locks go to the next with [ErrOwnerDied], and what it had not
// taken over yet goes back.
//
// # What is promised
//
// Every operation of one object is one step for everybody: its history is linearizable. Operations with many keys or elements are one step too. Nothing is promised of the
// order in which operations on two objects are seen, but that who has got the answer to one call makes the next after it.
//
// A call is done once or not at all. Where its answer cannot come any more the error is [ErrLost], and whether it was done nobody knows; it is never repeated. A call
// that was not sent is sent over a new connection. When ctx ends, the server gives the call up; what was granted at that instant is kept or given back, and the error says
// which: nil means that the call was done.
//
// docs/design/manager.md has the protocol and what a death at each step leaves.
package manager
