package structtags

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-playground/validator/v10"
)

const (
	// maxReason is a reason's bytes, those that the engine keeps.
	maxReason = 1 << 10
	// maxLine is the bytes of one field's line, so that none has it all.
	maxLine = 400
	// maxPath is the bytes of a path in it.
	maxPath = 150
	// maxValue is the bytes of a value in it.
	maxValue = 64
)

// field is one that fails, and what it fails.
type field struct{ path, what string }

func (f field) line() string {
	path := "(root)"
	if f.path != "" {
		path = cut(printable(f.path), maxPath)
	}
	return cut(path+": "+printable(f.what), maxLine)
}

// reasonOf joins fields, in the order of their paths, as far as there is room.
// The library looks into maps in no order.
func reasonOf(fields []field) string {
	slices.SortFunc(fields, func(a, b field) int {
		return cmp.Or(slices.CompareFunc(tokens(a.path), tokens(b.path), compareTokens), cmp.Compare(a.path, b.path), cmp.Compare(a.what, b.what))
	})
	lines := make([]string, 0, len(fields))
	for _, f := range fields {
		lines = append(lines, f.line())
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

func tokens(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

// compareTokens puts 2 before 10, and indices before names.
func compareTokens(a, b string) int {
	i, errA := strconv.ParseUint(a, 10, 64)
	j, errB := strconv.ParseUint(b, 10, 64)
	switch {
	case errA == nil && errB == nil:
		return cmp.Compare(i, j)
	case errA == nil:
		return -1
	case errB == nil:
		return 1
	default:
		return cmp.Compare(a, b)
	}
}

// pathOf is where a field is in the result: the library begins with the type's
// name, which is nowhere in it.
func pathOf(f validator.FieldError, at string, owner reflect.Type) string {
	path := within(f.Namespace(), owner)
	if path == "" { // a struct without a name in JSON
		path = within(f.StructNamespace(), owner)
	}
	if at == "" || path == "" {
		return at + path
	}
	return at + "." + path
}

func within(namespace string, owner reflect.Type) string {
	if namespace == owner.Name() {
		return ""
	}
	return strings.TrimPrefix(namespace, owner.Name()+".")
}

// describe is the tag that a field fails, and what it is instead.
func describe(f validator.FieldError) string {
	tag := f.Tag()
	if f.Param() != "" && !strings.Contains(tag, "=") {
		tag += "=" + f.Param()
	}
	return "must satisfy " + cut(tag, maxPath) + actual(f.Value())
}

// actual is what can be said of a value in a few words.
func actual(value any) string {
	if t, ok := value.(time.Time); ok {
		return " but is " + t.Format(time.RFC3339Nano)
	}
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.Invalid:
		return " but is null"
	case reflect.Pointer, reflect.Interface, reflect.Func, reflect.Chan:
		if v.IsNil() {
			return " but is null"
		}
		return ""
	case reflect.String:
		return " but is " + cut(strconv.Quote(v.String()), maxValue)
	case reflect.Slice, reflect.Map, reflect.Array:
		return fmt.Sprintf(" but has length %d", v.Len())
	case reflect.Struct, reflect.UnsafePointer:
		return ""
	default:
		return " but is " + cut(fmt.Sprint(value), maxValue)
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
