// Package reason writes why a result is refused, for validators that find many
// mistakes in one: a line that names them in order, as far as the engine keeps
// it.
package reason

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
	// Max is a reason's bytes, those that the engine keeps.
	Max = 1 << 10
	// MaxLine is the bytes of one mistake, so that none has it all.
	MaxLine = 400
	// MaxPath is the bytes of a path in it.
	MaxPath = 150
	// MaxValue is the bytes of a value in it.
	MaxValue = 64
)

// Join is lines, in their order and each once, as far as there is room, and how
// many more there are.
func Join(lines []string) string {
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
		if b.Len()+len(line)+len(rest) > Max {
			fmt.Fprintf(&b, "; and %d more", len(lines)-i)
			break
		}
		b.WriteString(line)
	}
	return b.String()
}

// CompareTokens orders the tokens of paths: 2 before 10, and indices before
// names.
func CompareTokens(a, b string) int {
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

// Printable keeps names and texts, which can have any characters, to one line.
func Printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(s) {
		quoted := strconv.Quote(s)
		return quoted[1 : len(quoted)-1]
	}
	return s
}

// Cut shortens s to at most n bytes, at a rune's border.
func Cut(s string, n int) string {
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
