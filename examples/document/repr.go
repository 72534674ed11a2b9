package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// repr writes a value as Python's print shows it, to compare with the document.
func repr(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case string:
		return "'" + v + "'"
	case float64:
		s := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		return s
	case []any:
		return list(v)
	case []int:
		return list(v)
	case map[any]any: // numbers before strings, as the document has it
		keys := slices.SortedFunc(maps.Keys(v), func(a, b any) int {
			return strings.Compare(strings.ReplaceAll(repr(a), "'", "~"), strings.ReplaceAll(repr(b), "'", "~"))
		})
		var items []string
		for _, k := range keys {
			items = append(items, repr(k)+": "+repr(v[k]))
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	return fmt.Sprint(v)
}

func list[T any](v []T) string {
	var items []string
	for _, x := range v {
		items = append(items, repr(x))
	}
	return "[" + strings.Join(items, ", ") + "]"
}
