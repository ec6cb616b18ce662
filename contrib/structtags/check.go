package structtags

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// check finds what is wrong with a type and its tags. The library has no such
// check; it panics when it comes to a tag that is wrong, which can be at the
// thousandth result. So each tag is tried alone, on a zero value.
func check(t reflect.Type, o *options) error {
	owner := t
	for slices.Contains([]reflect.Kind{reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map}, owner.Kind()) {
		owner = owner.Elem()
	}
	if !nested(owner) {
		return fmt.Errorf("type %v: must be a struct, a pointer to one, or a slice, an array or a map of these", t)
	}
	i := inspection{options: o, seen: map[reflect.Type]bool{}}
	i.ofStruct(owner)
	if len(i.errs) > 0 {
		return errors.Join(i.errs...)
	}
	if i.tags == 0 && o.own {
		return fmt.Errorf(`type %v: must have a "validate" tag; those of elements count where the slice or map has one with dive`, t)
	}
	return nil
}

// inspection is of all the types that a result is made of.
type inspection struct {
	*options

	seen map[reflect.Type]bool
	tags int
	errs []error
}

func (i *inspection) ofStruct(t reflect.Type) {
	if i.seen[t] {
		return
	}
	i.seen[t] = true
	before := len(i.errs)
	for f := range t.Fields() {
		tag := f.Tag.Get("validate")
		if tag == "-" || !f.IsExported() && !f.Anonymous {
			continue
		}
		var all []string
		if tag != "" {
			all = strings.Split(tag, ",")
		}
		i.tags += len(all)
		here := place{owner: t, field: f.Name}
		i.ofTokens(here, f.Type, all)
	}
	if len(i.errs) > before {
		return // it would say the same again
	}
	// As a whole, since some tags look at other fields.
	if panicked := try(func() error { return i.validate.Struct(reflect.New(t).Interface()) }); panicked != "" {
		i.errs = append(i.errs, fmt.Errorf("type %s: %s", nameOf(t), panicked))
	}
}

// place is where a tag is.
type place struct {
	owner reflect.Type
	field string
}

func (i *inspection) bad(at place, token, why string) {
	i.errs = append(i.errs, fmt.Errorf("%s.%s: tag %q: %s", nameOf(at.owner), at.field, token, why))
}

// ofTokens follows a field's tag as the library does, from the field to its
// elements and keys.
func (i *inspection) ofTokens(at place, t reflect.Type, all []string) {
	t = deref(t)
	for n, token := range all {
		switch token {
		case "omitempty", "omitnil", "omitzero":
		case "structonly", "nostructlevel":
			return
		case "dive":
			i.ofElements(at, t, all[n+1:])
			return
		default:
			i.ofToken(at, t, token)
		}
	}
	if nested(t) {
		i.ofStruct(t)
	}
}

func (i *inspection) ofElements(at place, t reflect.Type, rest []string) {
	if why := "must be on a slice, an array or a map but is on " + t.String(); i.own && nested(t) {
		i.bad(at, "dive", why)
		return
	} else if !i.try(at, t, "dive", why) {
		return
	}
	kind := t.Kind()
	if kind != reflect.Slice && kind != reflect.Array && kind != reflect.Map {
		return // an interface, whose values tell
	}
	if len(rest) > 0 && rest[0] == "keys" {
		end := slices.Index(rest, "endkeys")
		switch {
		case end < 0:
			i.bad(at, "keys", `must be closed by "endkeys"`)
			return
		case kind != reflect.Map:
			i.bad(at, "keys", "must be on a map but is on "+t.String())
			return
		}
		i.ofTokens(at, t.Key(), rest[1:end])
		rest = rest[end+1:]
	}
	i.ofTokens(at, t.Elem(), rest)
}

// ofToken tries each of its alternatives, since the library stops at the first
// that holds.
func (i *inspection) ofToken(at place, t reflect.Type, token string) {
	for alternative := range strings.SplitSeq(token, "|") {
		if !i.try(at, t, alternative, "") {
			continue
		}
		name, param, _ := strings.Cut(alternative, "=")
		i.ofFields(at, t, name, param)
	}
}

// ofFields looks at the fields beside its own that a validation names. The
// library takes one that does not exist for one that is absent.
func (i *inspection) ofFields(at place, t reflect.Type, validation, param string) {
	fields := words.FindAllString(param, -1)
	switch {
	case slices.Contains(oneField, validation):
		fields = []string{param}
	case slices.Contains(allFields, validation):
	case slices.Contains(fieldsAndValues, validation):
		fields = fields[:0]
		for pair := range slices.Chunk(words.FindAllString(param, -1), 2) {
			fields = append(fields, pair[0])
			i.try(at, t, validation+"="+strings.Join(pair, " "), "")
		}
	default:
		return
	}
	for _, path := range fields {
		if !has(at.owner, path) {
			i.bad(at, validation+"="+param, fmt.Sprintf("%s has no field %q", nameOf(at.owner), path))
		}
	}
}

// try validates a zero value by one validation, in a struct of zeros. why replaces the library's
// words if they are not good enough.
func (i *inspection) try(at place, t reflect.Type, token, why string) bool {
	if token == "" || token == "-" {
		i.bad(at, token, "must be a validation of the validator's")
		return false
	}
	run := func() error {
		return i.validate.VarWithValue(sampleOf(t, token), reflect.Zero(at.owner).Interface(), token)
	}
	if i.own && nested(t) {
		run = func() error { return i.validate.Struct(aStructWith(token)) }
	}
	panicked := strings.ReplaceAll(try(run), reflect.TypeFor[aStruct]().String(), t.String())
	switch {
	case panicked == "":
		return true
	case why != "":
	case strings.HasPrefix(panicked, "Undefined validation"), strings.HasPrefix(panicked, "Invalid validation"):
		why = "must be a validation of the validator's"
	default:
		why = panicked
	}
	i.bad(at, token, why)
	return false
}

// sampleOf is a zero value, with an element where there can be one. Neither
// these nor structs may make the library look further than at the tag.
func sampleOf(t reflect.Type, token string) any {
	if nested(t) {
		return nil
	}
	v := reflect.New(t).Elem()
	switch {
	case token == "dive":
	case t.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(t, 1, 1))
		if elem := t.Elem(); elem.Kind() == reflect.Pointer {
			v.Index(0).Set(reflect.New(elem.Elem()))
		}
	case t.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(t))
		v.SetMapIndex(reflect.Zero(t.Key()), reflect.Zero(t.Elem()))
	}
	return v.Interface()
}

// aStruct stands for any, since the library looks into those it knows.
type aStruct struct{}

// aStructWith has one as a field with a tag: the library has no other way to
// run a validation on a struct.
func aStructWith(token string) any {
	return reflect.New(reflect.StructOf([]reflect.StructField{{
		Name: "Field", Type: reflect.TypeFor[aStruct](), Tag: reflect.StructTag("validate:" + strconv.Quote(token)),
	}})).Interface()
}

// nameOf keeps structs without a name short.
func nameOf(t reflect.Type) string {
	if t.Name() == "" {
		return t.Kind().String()
	}
	return t.String()
}

// try is what f panics with. Bugs do not count: a validation may rely on the
// ones before it, which are not run here.
func try(f func() error) (panicked string) {
	defer func() {
		r := recover()
		if _, bug := r.(runtime.Error); r != nil && !bug {
			panicked = fmt.Sprint(r)
		}
	}()
	_ = f()
	return ""
}

var (
	oneField  = []string{"eqfield", "nefield", "gtfield", "gtefield", "ltfield", "ltefield", "fieldcontains", "fieldexcludes"}
	allFields = []string{
		"required_with", "required_with_all", "required_without", "required_without_all",
		"excluded_with", "excluded_with_all", "excluded_without", "excluded_without_all",
	}
	fieldsAndValues = []string{"required_if", "required_unless", "excluded_if", "excluded_unless", "skip_unless"}

	// words are those of the library: quoted ones can have spaces.
	words = regexp.MustCompile(`'[^']*'|\S+`)
)

// has reports whether a struct has a field, or may have it: what is in an
// interface or at an index is not known before there is a value.
func has(t reflect.Type, path string) bool {
	for name := range strings.SplitSeq(path, ".") {
		t = deref(t)
		if t.Kind() == reflect.Interface {
			return true
		}
		if t.Kind() != reflect.Struct {
			return false
		}
		name, _, indexed := strings.Cut(name, "[")
		f, ok := t.FieldByName(name)
		if !ok || indexed {
			return ok
		}
		t = f.Type
	}
	return true
}
