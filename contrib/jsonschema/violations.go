package jsonschema

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// violations flattens the library's tree of errors, which follows the schema,
// to what is wrong in the document.
func violations(e *jsonschema.ValidationError, doc any) []violation {
	return (&reader{doc: doc}).all(e)
}

// reader reads the errors about one document.
type reader struct {
	doc any
	// owners are the paths of all properties, by name: made where a name is
	// wrong, and once, since thousands can be.
	owners map[string][][]string
	// places are those of a name in words.
	places map[string]violation
}

func (r *reader) all(e *jsonschema.ValidationError) []violation {
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		return each(e.InstanceLocation, k.Missing, "is missing")
	case *kind.Dependency:
		return each(e.InstanceLocation, k.Missing, "is missing, which "+quote(k.Prop)+" needs")
	case *kind.DependentRequired:
		return each(e.InstanceLocation, k.Missing, "is missing, which "+quote(k.Prop)+" needs")
	case *kind.AdditionalProperties:
		return each(e.InstanceLocation, k.Properties, "is not allowed")
	case *kind.AnyOf:
		return r.alternatives(e)
	case *kind.OneOf:
		if len(k.Subschemas) == 0 {
			return r.alternatives(e)
		}
	case *kind.PropertyNames:
		return []violation{r.badName(k.Property, e)}
	case *kind.Contains, *kind.MinContains, *kind.ContentSchema:
		// The causes are about items that need not match, or about another
		// document.
	default:
		if len(e.Causes) > 0 {
			return r.ofAll(e.Causes)
		}
	}
	return []violation{{path: e.InstanceLocation, what: describe(e.ErrorKind)}}
}

func (r *reader) ofAll(causes []*jsonschema.ValidationError) []violation {
	var all []violation
	for _, cause := range causes {
		all = append(all, r.all(cause)...)
	}
	return all
}

func each(path, properties []string, what string) []violation {
	all := make([]violation, len(properties))
	for i, p := range properties {
		all[i] = violation{path: child(path, p), what: what}
	}
	return all
}

// alternatives is why none of several schemas matched. One for another type
// was not what the result was meant to be, null where it may be absent for
// instance; if that leaves a single one, its violations are the ones to mend.
func (r *reader) alternatives(e *jsonschema.ValidationError) []violation {
	here := pointer(e.InstanceLocation)
	var meant [][]violation
	var union kind.Type
	typed := 0
	for _, cause := range e.Causes {
		switch k := about(cause, len(e.InstanceLocation)).(type) {
		case *kind.Type:
			typed++
			union.Got = k.Got
			union.Want = append(union.Want, k.Want...)
			continue
		case *kind.Enum:
			if !slices.ContainsFunc(k.Want, func(v any) bool { return sameType(v, k.Got) }) {
				continue
			}
		case *kind.Const:
			if !sameType(k.Want, k.Got) {
				continue
			}
		}
		meant = append(meant, r.all(cause))
	}
	switch {
	case len(meant) == 1:
		return meant[0]
	case typed == len(e.Causes):
		slices.Sort(union.Want)
		union.Want = slices.Compact(union.Want)
		return []violation{{path: e.InstanceLocation, what: describe(&union)}}
	case len(meant) == 0:
		for _, cause := range e.Causes {
			meant = append(meant, r.all(cause))
		}
	}
	texts := make([]string, len(meant))
	for i, all := range meant {
		texts[i] = "(" + inline(all, here) + ")"
	}
	what := fmt.Sprintf("must match one of %d alternatives: %s", len(meant), strings.Join(texts, " or "))
	return []violation{{path: e.InstanceLocation, what: what}}
}

// inline is violations within another one's line; the place of that is not
// repeated.
func inline(all []violation, here string) string {
	sortByPath(all)
	texts := make([]string, len(all))
	for i := range all {
		texts[i] = all[i].what
		if place := all[i].place(); place != here {
			texts[i] = place + " " + all[i].what
		}
	}
	return strings.Join(slices.Compact(texts), ", ")
}

// about is what a cause is about, if it is a single thing of the very value,
// depth tokens deep; nil otherwise.
func about(cause *jsonschema.ValidationError, depth int) jsonschema.ErrorKind {
	for len(cause.Causes) == 1 {
		if _, ok := cause.ErrorKind.(*kind.Reference); !ok {
			return nil
		}
		cause = cause.Causes[0]
	}
	if len(cause.Causes) > 0 || len(cause.InstanceLocation) != depth {
		return nil
	}
	return cause.ErrorKind
}

// sameType reports whether two values of a decoded document have one JSON type,
// each of which is one Go type.
func sameType(a, b any) bool { return reflect.TypeOf(a) == reflect.TypeOf(b) }

// badName is a property whose name is not allowed. The library (6.0.3) lets
// siblings overwrite the location of these errors, so the place is that of all
// properties of the name.
func (r *reader) badName(property string, e *jsonschema.ValidationError) violation {
	v, ok := r.places[property]
	if !ok {
		v = r.place(property)
		r.places[property] = v
	}
	v.what = "its name " + inline(r.ofAll(e.Causes), pointer(nil))
	return v
}

func (r *reader) place(property string) violation {
	if r.owners == nil {
		r.owners, r.places = map[string][][]string{}, map[string]violation{}
		r.index(r.doc, nil)
	}
	paths := r.owners[property]
	if len(paths) == 0 {
		return violation{at: quote(property)}
	}
	slices.SortFunc(paths, func(a, b []string) int { return slices.CompareFunc(a, b, compareTokens) })
	var at string
	for i, path := range paths {
		if len(at) > maxPath {
			break
		}
		if i > 0 {
			at += " or "
		}
		at += pointer(path)
	}
	return violation{path: paths[0], at: cut(at, maxPath)}
}

// index fills owners.
func (r *reader) index(doc any, at []string) {
	for i, item := range items(doc) {
		r.index(item, child(at, i))
	}
	object, _ := doc.(map[string]any)
	for key, value := range object {
		path := child(at, key)
		r.owners[key] = append(r.owners[key], path)
		r.index(value, path)
	}
}
