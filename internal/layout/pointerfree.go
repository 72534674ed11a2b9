package layout

import (
	"fmt"
	"reflect"
)

// PointerFree returns nil if a value of type t means the same in every process: it holds no pointer of any kind. The
// error names the first field that does.
func PointerFree(t reflect.Type) error {
	if path, bad := findPointer(t, t.String()); bad != nil {
		return fmt.Errorf("%s cannot stand in shared memory: %s is %s, which refers to this process's own memory; use numbers, bools, arrays and structs of them", t, path, article(bad))
	}
	return nil
}

func article(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer, reflect.UnsafePointer:
		return "a pointer"
	case reflect.Interface:
		return "an interface"
	case reflect.String:
		return "a string"
	}
	return "a " + t.Kind().String()
}

// findPointer returns the path to the first part of t that is or holds a pointer, and its type, or nil.
func findPointer(t reflect.Type, path string) (string, reflect.Type) {
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return "", nil
	case reflect.Array:
		return findPointer(t.Elem(), path+"[]")
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if p, bad := findPointer(f.Type, path+"."+f.Name); bad != nil {
				return p, bad
			}
		}
		return "", nil
	}
	return path, t
}
