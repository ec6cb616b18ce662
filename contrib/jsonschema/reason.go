package jsonschema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/concurry-go/concurry/validation"
)

// violation is what is wrong at one place of a document.
type violation struct {
	path []string
	// at replaces path where it cannot be told which of several it is.
	at   string
	what string
}

func (v *violation) place() string {
	if v.at != "" {
		return v.at
	}
	return pointer(v.path)
}

func (v *violation) line() string { return cut(v.place()+": "+v.what, maxLine) }

// reasonOf joins violations, in the order of their paths, as far as there is
// room. The library finds them in the order of Go's maps, which is none.
func reasonOf(all []violation) string {
	sortByPath(all)
	lines := make([]string, 0, len(all))
	for i := range all {
		lines = append(lines, all[i].line())
	}
	if err := validation.Reasons(lines); err != nil {
		return err.Error()
	}
	return ""
}

func sortByPath(all []violation) {
	slices.SortFunc(all, func(a, b violation) int {
		return cmp.Or(slices.CompareFunc(a.path, b.path, compareTokens), cmp.Compare(a.at, b.at), cmp.Compare(a.what, b.what))
	})
}

var (
	escape   = strings.NewReplacer("~", "~0", "/", "~1")
	unescape = strings.NewReplacer("~0", "~", "~1", "/")
)

// pointer is a path as a JSON pointer; the empty one says in words what it is.
func pointer(path []string) string {
	if len(path) == 0 {
		return "(root)"
	}
	var b strings.Builder
	for _, token := range path {
		b.WriteByte('/')
		b.WriteString(escape.Replace(printable(token)))
	}
	return cut(b.String(), maxPath)
}

// child is the path to a property or an item, which shares no memory with its
// siblings'.
func child[K string | int](path []string, key K) []string {
	return append(slices.Clip(path), fmt.Sprint(key))
}

// items are those of an array, and none of anything else.
func items(doc any) []any {
	array, _ := doc.([]any)
	return array
}
