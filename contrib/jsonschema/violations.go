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
		return alternatives(e, doc)
	case *kind.OneOf:
		if len(k.Subschemas) == 0 {
			return alternatives(e, doc)
		}
	case *kind.PropertyNames:
		return badName(k.Property, e, doc)
	case *kind.Contains, *kind.MinContains, *kind.ContentSchema:
		// The causes are about items that need not match, or about another
		// document.
	default:
		if len(e.Causes) > 0 {
			return ofAll(e.Causes, doc)
		}
	}
	return []violation{{path: e.InstanceLocation, what: describe(e.ErrorKind)}}
}

func ofAll(causes []*jsonschema.ValidationError, doc any) []violation {
	var all []violation
	for _, cause := range causes {
		all = append(all, violations(cause, doc)...)
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
func alternatives(e *jsonschema.ValidationError, doc any) []violation {
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
		meant = append(meant, violations(cause, doc))
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
			meant = append(meant, violations(cause, doc))
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

// sameType tells whether two values of a decoded document have one JSON type,
// each of which is one Go type.
func sameType(a, b any) bool { return reflect.TypeOf(a) == reflect.TypeOf(b) }

// badName is a property whose name is not allowed. The library (6.0.3) lets
// siblings overwrite the location of these errors, so the places are all
// objects with such a property.
func badName(property string, e *jsonschema.ValidationError, doc any) []violation {
	what := "its name " + inline(ofAll(e.Causes, doc), pointer(nil))
	owners := having(property, doc, nil)
	if len(owners) == 0 {
		return []violation{{at: quote(property), what: what}}
	}
	slices.SortFunc(owners, func(a, b []string) int { return slices.CompareFunc(a, b, compareTokens) })
	places := make([]string, len(owners))
	for i, path := range owners {
		places[i] = pointer(path)
	}
	return []violation{{path: owners[0], at: cut(strings.Join(places, " or "), maxPath), what: what}}
}

// having are the paths of all properties of a name.
func having(property string, doc any, at []string) [][]string {
	var all [][]string
	for i, item := range items(doc) {
		all = append(all, having(property, item, child(at, i))...)
	}
	object, _ := doc.(map[string]any)
	for key, value := range object {
		path := child(at, key)
		if key == property {
			all = append(all, path)
		}
		all = append(all, having(property, value, path)...)
	}
	return all
}
