package jsonschema

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// document is the URL of the schema itself, against which it resolves its
// references. It is never shown.
const document = "schema:///"

// Compile reads the text of a schema. Errors name the place in it, and list
// all that is wrong where the schema is no valid one. The result is safe for
// concurrent use.
func Compile(schema string) (*jsonschema.Schema, error) {
	doc, err := decode(schema)
	if err != nil {
		return nil, fmt.Errorf("jsonschema: the schema is not JSON: %w", err)
	}
	if v := absurd(doc, nil); len(v) > 0 {
		return nil, fmt.Errorf("jsonschema: schema: %s", reasonOf(v))
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(nowhere{})
	if err := c.AddResource(document, doc); err != nil {
		return nil, fmt.Errorf("jsonschema: schema: %w", err)
	}
	s, err := c.Compile(document)
	if err != nil {
		return nil, fmt.Errorf("jsonschema: schema: %w", explain(err, doc))
	}
	return s, nil
}

// MustCompile does what [Compile] does, for package variables: it panics where
// Compile returns an error.
func MustCompile(schema string) *jsonschema.Schema {
	s, err := Compile(schema)
	if err != nil {
		panic(err)
	}
	return s
}

// nowhere loads nothing: what a worker accepts must not depend on who answers
// an HTTP request, or on a file of its machine.
type nowhere struct{}

var errElsewhere = errors.New(`is another document, which is never loaded; must be within the schema, such as "#/$defs/name", or a JSON Schema draft`)

func (nowhere) Load(string) (any, error) { return nil, errElsewhere }

// explain says where in the schema the compiler's error is.
func explain(err error, doc any) error {
	switch e := err.(type) { //nolint:errorlint // the compiler wraps nothing around these
	case *jsonschema.SchemaValidationError:
		if invalid, ok := errors.AsType[*jsonschema.ValidationError](e.Err); ok {
			all := violations(invalid, doc)
			for i := range all {
				all[i].path = slices.Concat(tokens(e.URL), all[i].path)
			}
			return &refusal{reason: reasonOf(all), all: invalid}
		}
	case *jsonschema.LoadURLError:
		return fmt.Errorf("%s%q %w", referrer(e.URL, doc), local(e.URL), e.Err)
	case *jsonschema.JSONPointerNotFoundError:
		return fmt.Errorf("%s%q is not in the schema", referrer(e.URL, doc), local(e.URL))
	case *jsonschema.AnchorNotFoundError:
		return fmt.Errorf("%s%q is not in the schema", referrer(e.Reference, doc), local(e.Reference))
	case *jsonschema.DuplicateIDError:
		return twice("$id", local(e.ID), e.Ptr1, e.Ptr2)
	case *jsonschema.DuplicateAnchorError:
		return twice("anchor", e.Anchor, e.Ptr1, e.Ptr2)
	case *jsonschema.InvalidRegexError:
		return fmt.Errorf("%s: must be a regular expression but is %s: %w", strings.TrimPrefix(local(e.URL), "#"), quote(e.Regex), e.Err)
	}
	return errors.New(strings.ReplaceAll(err.Error(), document, ""))
}

// twice puts the places in order; the compiler finds them in that of a map.
func twice(keyword, value, a, b string) error {
	return fmt.Errorf("%s and %s: %s %q must be at one place alone", min(a, b), max(a, b), keyword, value)
}

func local(u string) string { return strings.TrimPrefix(u, document) }

// tokens are the path that a URL's fragment is.
func tokens(u string) []string {
	_, fragment, _ := strings.Cut(u, "#/")
	if fragment == "" {
		return nil
	}
	path := strings.Split(fragment, "/")
	for i, token := range path {
		if plain, err := url.PathUnescape(token); err == nil {
			token = plain
		}
		path[i] = unescape.Replace(token)
	}
	return path
}

// referrer is the place of the keyword that refers to a URL, with a colon
// behind it; empty if it is not found.
func referrer(u string, doc any) string {
	base, err := url.Parse(document)
	if err != nil {
		return ""
	}
	path, ok := refers(doc, nil, base, u)
	if !ok {
		return ""
	}
	return pointer(path) + ": "
}

var referring = []string{"$ref", "$dynamicRef", "$recursiveRef", "$schema"}

// refers looks for the keyword in the order of the keys.
func refers(doc any, at []string, base *url.URL, wanted string) ([]string, bool) {
	object, ok := doc.(map[string]any)
	if !ok {
		for i, item := range items(doc) {
			if path, ok := refers(item, child(at, i), base, wanted); ok {
				return path, true
			}
		}
		return nil, false
	}
	if id, ok := object["$id"].(string); ok {
		if u, err := base.Parse(id); err == nil {
			base = u
		}
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if ref, ok := object[key].(string); ok && slices.Contains(referring, key) {
			if u, err := base.Parse(ref); err == nil && (names(u, wanted) || document+ref == wanted) {
				return child(at, key), true
			}
		}
		if path, ok := refers(object[key], child(at, key), base, wanted); ok {
			return path, true
		}
	}
	return nil, false
}

// names reports whether u is the wanted URL, or a place in that document.
func names(u *url.URL, wanted string) bool {
	if u.String() == wanted {
		return true
	}
	whole := *u
	whole.Fragment, whole.RawFragment = "", ""
	return whole.String() == wanted
}
