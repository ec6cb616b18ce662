package jsonschema

import (
	"cmp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxLine is how many bytes a reason has for one mistake, so that none
	// takes all the room.
	maxLine = 400
	// maxPath is how many bytes a mistake has for its path.
	maxPath = 150
	// maxValue is how many bytes a mistake has for a value.
	maxValue = 64
)

// compareTokens orders the tokens of paths: 2 before 10, and indices before
// names.
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

// printable keeps names and texts, which can have any characters, to one line.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(s) {
		quoted := strconv.Quote(s)
		return quoted[1 : len(quoted)-1]
	}
	return s
}

// cut shortens s to at most n bytes, between two characters.
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
