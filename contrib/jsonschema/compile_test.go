package jsonschema_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/concurry-go/concurry/contrib/jsonschema"
	"github.com/concurry-go/concurry/retrypolicy"
)

const elsewhere = ` is another document, which is never loaded; must be within the schema, such as "#/$defs/name", or a JSON Schema draft`

func TestABadSchemaIsRefusedWithWhatAndWhere(t *testing.T) {
	t.Parallel()
	for schema, want := range map[string]string{
		``:                    `jsonschema: the schema is not JSON: line 1, column 1: it ends too early`,
		"{\n\t\"type\":}":     `jsonschema: the schema is not JSON: line 2, column 9: invalid character '}' looking for beginning of value`,
		`{} {}`:               `jsonschema: the schema is not JSON: line 1, column 4: it must end after the first value`,
		`[]`:                  `jsonschema: schema: (root): must be boolean or object but is array`,
		`{"type": "strin"}`:   `jsonschema: schema: /type: must be one of "array", "boolean", "integer", "null", "number", "object", "string" but is "strin"`,
		`{"minimum": 1e9999}`: `jsonschema: schema: /minimum: must have an exponent of at most 1000 but is 1e9999`,
		`{"properties": {"a": {"minimum": "x"}, "b": {"required": "c"}}}`: `jsonschema: schema: /properties/a/minimum: must be number but is string; /properties/b/required: must be array but is string`,
		`{"properties": {"a": {"pattern": "(?=x)"}}}`:                     "jsonschema: schema: /properties/a/pattern: must be a valid regex but is \"(?=x)\": error parsing regexp: invalid or unsupported Perl syntax: `(?=`",
		`{"properties": {"a": {"$ref": "http://example.com/a.json"}}}`:    `jsonschema: schema: /properties/a/$ref: "http://example.com/a.json"` + elsewhere,
		`{"items": {"anyOf": [{}, {"$ref": "https://example.com/a"}]}}`:   `jsonschema: schema: /items/anyOf/1/$ref: "https://example.com/a"` + elsewhere,
		`{"$ref": "file:///etc/passwd"}`:                                  `jsonschema: schema: /$ref: "file:///etc/passwd"` + elsewhere,
		`{"$ref": "other.json#/a"}`:                                       `jsonschema: schema: /$ref: "other.json"` + elsewhere,
		`{"$id": "https://example.com/r", "$ref": "other.json"}`:          `jsonschema: schema: /$ref: "https://example.com/other.json"` + elsewhere,
		`{"$schema": "http://example.com/meta"}`:                          `jsonschema: schema: /$schema: "http://example.com/meta"` + elsewhere,
		`{"$ref": "#/$defs/nope"}`:                                        `jsonschema: schema: /$ref: "#/$defs/nope" is not in the schema`,
		`{"$id": "https://example.com/r", "$ref": "#/$defs/nope"}`:        `jsonschema: schema: /$ref: "#/$defs/nope" is not in the schema`,
		`{"not": {"$ref": "#nope"}}`:                                      `jsonschema: schema: /not/$ref: "#nope" is not in the schema`,
		`{"$ref": "#/default/a~1b", "default": {"a/b": 7}}`:               `jsonschema: schema: /default/a~1b: must be boolean or object but is number`,
		`{"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}}`:       `jsonschema: schema: /$defs/a and /$defs/b: anchor "x" must be at one place alone`,
		`{"$defs": {"a": {"$id": "x"}, "b": {"$id": "x"}}}`:               `jsonschema: schema: /$defs/a and /$defs/b: $id "x" must be at one place alone`,
	} {
		_, err := jsonschema.Compile(schema)
		assert.EqualError(t, err, want, schema)
		assert.PanicsWithError(t, want, func() { jsonschema.MustCompile(schema) }, schema)
	}
}

func TestDraftsAreReadAsTheSchemaSays(t *testing.T) {
	t.Parallel()
	// What "items" with an array means has changed: from 2020-12 on it is an error.
	assert.NoError(t, compiles(`{"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "null"}]}`))
	assert.Error(t, compiles(`{"$schema": "https://json-schema.org/draft/2020-12/schema", "items": [{"type": "null"}]}`))
	assert.Error(t, compiles(`{"items": [{"type": "null"}]}`), "the latest is the default")
	assert.NoError(t, compiles(`{"$ref": "https://json-schema.org/draft/2020-12/schema"}`), "the drafts are inside")
}

func TestFormatsAreAssertedInEveryDraft(t *testing.T) {
	t.Parallel()
	for _, draft := range []string{
		"http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-06/schema#", "http://json-schema.org/draft-07/schema#",
		"https://json-schema.org/draft/2019-09/schema", "https://json-schema.org/draft/2020-12/schema",
	} {
		schema := jsonschema.MustCompile(`{"$schema": "` + draft + `", "format": "ipv4"}`)
		err := jsonschema.Text[string](schema)(`"10.0.0.256"`, retrypolicy.Attempt{})
		assert.ErrorContains(t, err, `must be a valid ipv4 but is "10.0.0.256"`, draft)
	}
}

func compiles(schema string) error {
	_, err := jsonschema.Compile(schema)
	return err
}

// A schema from anywhere is compiled or refused; it never takes the program
// down, then or later.
func FuzzCompile(f *testing.F) {
	f.Add(everything, broken)
	f.Add(`{"$ref": "#"}`, `1`)
	f.Add(`{"$id": "a", "$dynamicRef": "#b", "$defs": {"c": {"$dynamicAnchor": "b"}}}`, `1`)
	f.Add(`{"$recursiveRef": "#", "$recursiveAnchor": true}`, `[]`)
	f.Add(`{"$schema": "http://json-schema.org/draft-04/schema#", "id": "x", "items": [{}]}`, `[[]]`)
	f.Add(`{"minLength": 1e1000, "multipleOf": 1e-1000}`, `"a"`)
	f.Fuzz(func(t *testing.T, schema, text string) {
		if strings.Contains(schema, "{1000") {
			t.Skip("nested repetitions are slow to compile, as Go's regexp says")
		}
		s, err := jsonschema.Compile(schema)
		if err != nil {
			assert.NotContains(t, err.Error(), "schema:///")
			return
		}
		if err := jsonschema.Text[string](s)(text, retrypolicy.Attempt{}); err != nil {
			assert.NotEmpty(t, err.Error())
		}
	})
}
