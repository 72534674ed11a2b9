// Package codec turns any Go value into bytes and back, between processes of
// the same executable: the arguments of a child and the messages of a queue.
//
// # Why a codec of its own
//
// encoding/gob would be the obvious choice and is the wrong one here. It leaves
// out functions, channels and unexported fields without a word, so that a value
// arrives changed; it cannot tell a nil slice from an empty one, nor a pointer to zero
// from a nil pointer, and refuses nil elements; it overflows the stack on a
// cyclic value; it sends a description of each type with each independent
// message, which costs microseconds; and its documentation says that it is not
// hardened against hostile input. encoding/json loses types altogether, and
// everything else lies outside the standard library.
//
// This codec may assume what gob may not: both ends are the same executable on
// the same machine, so they agree on every type, on the word size and on the
// byte order. No type descriptions travel, but for the name of a concrete type
// inside an interface.
//
// # What is kept
//
// A decoded value has the same types as the encoded one, and the same nils: a
// nil slice, map, pointer or interface stays nil, an empty one stays empty.
// Two pointers to one value become pointers to two equal values, since sharing
// ends at the border of a process. A cycle is therefore an error, found before
// anything overflows.
//
// What has no meaning in another process is refused and never left out in
// silence: functions, channels, unsafe.Pointer, uintptr, and unexported fields
// of a struct that does not encode itself. [Check] finds these from the type
// alone. A field tagged
//
//	Cache map[string]int `multiproc:"-"`
//
// is left out on request and arrives as its zero value. Blank fields and
// unexported fields of size zero hold nothing and are skipped. An embedded
// struct of an unexported type is encoded by its exported fields, just as their
// promotion suggests.
//
// # Types that encode themselves
//
// A type whose pointer implements [encoding.BinaryMarshaler] and
// [encoding.BinaryUnmarshaler] encodes itself, time.Time and the handles of this
// module among them. A struct that cannot be taken field by field may instead
// implement GobEncode and GobDecode, or failing that [encoding.TextMarshaler]
// and [encoding.TextUnmarshaler]; these come second because they are often less
// exact (a big.Float loses its precision as text, a net.IP its length). Methods
// that a struct merely got from an embedded field do not count, since they
// would drop the other fields: struct{ time.Time; Zone string } goes field by
// field.
//
// A time.Time keeps what its MarshalBinary keeps: the instant, UTC, Local and
// the offset of other zones, but neither their name nor the monotonic reading.
//
// # Interfaces
//
// A value in an interface travels with the name of its type. The builtin types,
// a few of package time, and any pointers, slices, arrays and maps of known types
// are known from the start; a named type has to be given to [Register] in both
// processes, which happens by itself when the call stands in a package-level
// variable or an init function, as both run the same executable. This holds for
// error values too: most concrete errors have unexported fields and cannot be
// sent, so send their text.
//
// # Encoding
//
//	numbers             their memory, in the byte order of the machine
//	bool                one byte, 0 or 1
//	string              uvarint length, bytes
//	slice               uvarint 0 for nil, else length+1, then the elements
//	map                 likewise, then key and element in turn
//	array, struct       the elements or fields one after the other
//	pointer             byte 0 for nil, else 1 and the value
//	interface           uvarint 0 for nil, else length of the type, type, value
//	encodes itself      uvarint length, bytes
//
// Numbers, and arrays and structs of numbers without padding, are copied as
// memory, a slice of them in one piece. Slice elements and map entries whose
// encoding is empty take one zero byte each, so that a length never promises
// more than the message holds.
//
// # Hostile bytes
//
// [Decode] trusts nothing: it checks every length against the bytes that remain
// before it allocates, bounds the depth and the number of types it builds, relies
// on no byte being the same when read again (the bytes may lie in memory that
// another process can write), and turns the panics of UnmarshalBinary into
// errors. What it allocates is
// bounded by a small multiple of the input, apart from the memory that types
// declare for themselves with large arrays or left-out fields.
package codec
