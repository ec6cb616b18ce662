package structtags

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-playground/validator/v10"

	"github.com/concurry-go/concurry/validation"
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
	if err := validation.Reasons(lines); err != nil {
		return err.Error()
	}
	return ""
}

func tokens(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
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
