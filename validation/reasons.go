package validation

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxReason is how many bytes of a validator's reason are kept behind a server.
const MaxReason = 1 << 10

// Reasons returns a validator's error that names many mistakes in one line of at
// most [MaxReason] bytes, or nil if there are none:
//
//	/age: must be >= 0 but is -1; /name: is missing; and 3 more
//
// It keeps the order of mistakes, drops a mistake that equals the one before it,
// and says how many had no room. A first mistake without room is cut; cut each
// one to a few hundred bytes, so that several fit.
func Reasons(mistakes []string) error {
	if len(mistakes) == 0 {
		return nil
	}
	mistakes = slices.Compact(slices.Clone(mistakes))
	var b strings.Builder
	for i, mistake := range mistakes {
		more := func(n int) string {
			if n == 0 {
				return ""
			}
			return fmt.Sprintf("; and %d more", n)
		}
		left := len(mistakes) - i
		if i == 0 {
			mistake = cut(mistake, MaxReason-len(more(left-1)))
		} else {
			mistake = "; " + mistake
		}
		if b.Len()+len(mistake)+len(more(left-1)) > MaxReason {
			b.WriteString(more(left))
			break
		}
		b.WriteString(mistake)
	}
	return reasons(b.String())
}

// reasons is the text of several mistakes.
type reasons string

func (r reasons) Error() string { return string(r) }

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
