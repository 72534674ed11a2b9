package manager

import (
	"fmt"
	"reflect"
)

// A kind is what an object is. The numbers travel.
type kind byte

const (
	kindDict kind = iota + 1
	kindList
	kindSet
	kindNamespace
	kindValue
	kindArray
	kindQueue
	kindJoinableQueue
	kindMutex
	kindRLock
	kindSemaphore
	kindBoundedSemaphore
	kindCond
	kindEvent
	kindBarrier
	kindPool
	kindObject
	kindSegment
)

var kindNames = [...]string{
	kindDict: "Dict", kindList: "List", kindSet: "Set", kindNamespace: "Namespace", kindValue: "Value", kindArray: "Array", kindQueue: "Queue",
	kindJoinableQueue: "JoinableQueue", kindMutex: "Mutex", kindRLock: "RLock", kindSemaphore: "Semaphore", kindBoundedSemaphore: "BoundedSemaphore",
	kindCond: "Cond", kindEvent: "Event", kindBarrier: "Barrier", kindPool: "Pool", kindObject: "Object", kindSegment: "Segment",
}

func (k kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("object of kind %d", byte(k))
}

func describe(k kind, typ string) string {
	if typ == "" {
		return k.String()
	}
	return fmt.Sprintf("%v[%s]", k, typ)
}

// typeName is a type as both ends write it.
func typeName(t reflect.Type) string {
	if t.Name() != "" && t.PkgPath() != "" {
		return t.PkgPath() + "." + t.Name()
	}
	return t.String()
}

func typeOf[T any]() string { return typeName(reflect.TypeFor[T]()) }
