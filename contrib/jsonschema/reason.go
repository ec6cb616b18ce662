package jsonschema

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxReason is a reason's bytes, those that the engine keeps.
	maxReason = 1 << 10
	// maxLine is the bytes of one violation, so that none has it all.
	maxLine = 400
	// maxPath is the bytes of a path in it.
	maxPath = 150
	// maxValue is the bytes of a value in it.
	maxValue = 64
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
	lines = slices.Compact(lines)
	var b strings.Builder
	for i, line := range lines {
		if i > 0 {
			line = "; " + line
		}
		rest := fmt.Sprintf("; and %d more", len(lines)-i-1)
		if i == len(lines)-1 {
			rest = ""
		}
		if b.Len()+len(line)+len(rest) > maxReason {
			fmt.Fprintf(&b, "; and %d more", len(lines)-i)
			break
		}
		b.WriteString(line)
	}
	return b.String()
}

func sortByPath(all []violation) {
	slices.SortFunc(all, func(a, b violation) int {
		return cmp.Or(slices.CompareFunc(a.path, b.path, compareTokens), cmp.Compare(a.at, b.at), cmp.Compare(a.what, b.what))
	})
}

// compareTokens puts 2 before 10, and indices before names.
func compareTokens(a, b string) int {
	i, errA := strconv.ParseUint(a, 10, 64)
	j, errB := strconv.ParseUint(b, 10, 64)
	switch {
	case errA == nil && errB == nil:
		return cmp.Or(cmp.Compare(i, j), cmp.Compare(a, b))
	case errA == nil:
		return -1
	case errB == nil:
		return 1
	default:
		return cmp.Compare(a, b)
	}
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

// printable keeps the names of properties, which can be anything, to one line.
func printable(token string) string {
	if strings.ContainsFunc(token, func(r rune) bool { return !unicode.IsPrint(r) }) {
		quoted := strconv.Quote(token)
		return quoted[1 : len(quoted)-1]
	}
	return token
}

// cut shortens s to at most n bytes, at a rune's border.
func cut(s string, n int) string {
	const ellipsis = "…"
	if len(s) <= n {
		return s
	}
	keep := n - len(ellipsis)
	for keep > 0 && !utf8.RuneStart(s[keep]) {
		keep--
	}
	return s[:keep] + ellipsis
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
