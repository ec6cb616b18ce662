package jsonschema_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	lib "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/contrib/jsonschema"
	"github.com/concurry-go/concurry/retrypolicy"
)

// everything has every keyword that is about values.
const everything = `{
	"type": "object",
	"required": ["id"],
	"minProperties": 1,
	"maxProperties": 20,
	"propertyNames": {"pattern": "^[a-z]+$"},
	"dependentRequired": {"a": ["b", "c"]},
	"properties": {
		"id": {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^[a-z]-[0-9]+$"},
		"when": {"format": "date-time"},
		"kind": {"enum": ["x", 1, null, [2]]},
		"fixed": {"const": {"a": 1}},
		"n": {"type": "number", "minimum": 0, "exclusiveMaximum": 100, "multipleOf": 0.5},
		"m": {"type": "integer", "maximum": 7, "exclusiveMinimum": -7},
		"list": {"type": "array", "minItems": 1, "maxItems": 5, "uniqueItems": true, "items": {"$ref": "#/$defs/tree"}},
		"tuple": {"prefixItems": [{"type": "string"}, true], "items": false, "contains": {"const": 1}, "minContains": 1, "maxContains": 2},
		"maybe": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
		"one": {"oneOf": [{"multipleOf": 2}, {"multipleOf": 3}]},
		"no": {"not": {"type": "string"}},
		"c": {"if": {"type": "string"}, "then": {"minLength": 1}, "else": {"type": "boolean"}}
	},
	"unevaluatedProperties": false,
	"$defs": {"tree": {"type": "object", "required": ["leaf"], "properties": {"leaf": {"type": "boolean"}, "next": {"$ref": "#/$defs/tree"}}, "additionalProperties": false}}
}`

// broken breaks every one of them.
const broken = `{
	"id": "A", "when": "now", "kind": "y", "fixed": {"a": 2}, "n": 100.25, "m": 7.5,
	"list": [{}, {}, {"leaf": 1, "next": {"lead": true}}], "tuple": [3, 2, 2], "maybe": {"leaf": 0}, "one": 6, "no": "", "c": 0, "a": 1, "X y": 1
}`

func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	assert.Equal(t, strings.Join([]string{
		`/X y: is not allowed`,
		`/X y: its name must match pattern "^[a-z]+$" but is "X y"`,
		`/a: is not allowed`,
		`/b: is missing, which "a" needs`,
		`/c: must be boolean but is number`,
		`/fixed: must be {"a":1} but is {"a":2}`,
		`/id: must have at least 2 characters but has 1`,
		`/id: must match pattern "^[a-z]-[0-9]+$" but is "A"`,
		`/kind: must be one of "x", 1, null, [2] but is "y"`,
		`/list: must have no equal items but items 0 and 1 are`,
		`/list/0/leaf: is missing`,
		`/list/1/leaf: is missing`,
		`/list/2/leaf: must be boolean but is number`,
		`/list/2/next/lead: is not allowed`,
		`/list/2/next/leaf: is missing`,
		`/m: must be integer but is number`,
		`/maybe/leaf: must be boolean but is number`,
		`/n: must be < 100 but is 100.25`,
		`/n: must be a multiple of 0.5 but is 100.25`,
		`/no: must not match "not"`,
		`/one: must match one alternative alone but matches both number 1 and number 2`,
		`/tuple: must have at least 1 item that matches "contains" but has 0`,
		`/tuple/0: must be string but is number`,
		`/tuple/2: is not allowed`,
		`and 1 more`,
	}, "; "), judge(everything, broken))
}

// What is refused is what the library refuses, with a reason that is fit to
// travel and the same every time; nothing takes the program down.
func FuzzText(f *testing.F) {
	f.Add(broken)
	f.Add(`{"id": "a-1"}`)
	f.Add("")
	f.Add("{}\xff")
	f.Add(`{"id": "a-1", "n": 1e99999999}`)
	f.Add(`{"id": "a-1", "list": [{"leaf": true, "next": {"leaf": null}}], "\u0000\ud800": "\ud800"}`)
	schema := jsonschema.MustCompile(everything)
	validate := jsonschema.Text[string](schema)
	f.Fuzz(func(t *testing.T, text string) {
		err := validate(text, retrypolicy.Attempt{})
		if err == nil {
			doc, err := lib.UnmarshalJSON(strings.NewReader(text))
			require.NoError(t, err)
			require.NoError(t, schema.Validate(doc))
			return
		}
		reason := err.Error()
		assert.NotEmpty(t, reason)
		assert.LessOrEqual(t, len(reason), 1<<10)
		assert.True(t, utf8.ValidString(reason), "%q", reason)
		assert.NotContains(t, reason, "\n")
		assert.EqualError(t, validate(text, retrypolicy.Attempt{}), reason)
	})
}

const orderSchema = `{
	"type": "object",
	"required": ["id", "items"],
	"properties": {
		"id": {"type": "string", "minLength": 1},
		"items": {"type": "array", "items": {
			"type": "object",
			"required": ["name", "price"],
			"properties": {"name": {"type": "string"}, "price": {"type": "number", "minimum": 0}},
			"additionalProperties": false
		}}
	}
}`

// A good document is broken in known places: the reason names these, in their
// order, and nothing else.
func TestTheReasonNamesExactlyWhatWasBroken(t *testing.T) {
	t.Parallel()
	validate := jsonschema.Value[any](jsonschema.MustCompile(orderSchema))
	rapid.Check(t, func(t *rapid.T) {
		order := map[string]any{"id": rapid.StringN(1, 8, -1).Draw(t, "id")}
		var lines []string
		if rapid.Bool().Draw(t, "break id") {
			order["id"] = ""
			lines = append(lines, "/id: must have at least 1 character but has 0")
		}
		items := make([]any, rapid.IntRange(0, 12).Draw(t, "items"))
		for i := range items {
			place := "/items/" + strconv.Itoa(i)
			item := map[string]any{"name": rapid.String().Draw(t, "name"), "price": rapid.Float64Range(0, 1e9).Draw(t, "price")}
			items[i] = item
			switch rapid.SampledFrom([]string{"", "", "", "", "type", "sign", "missing", "extra"}).Draw(t, "break item") {
			case "type":
				item["name"] = 7
				lines = append(lines, place+"/name: must be string but is number")
			case "sign":
				item["price"] = -2
				lines = append(lines, place+"/price: must be >= 0 but is -2")
			case "missing":
				delete(item, "name")
				lines = append(lines, place+"/name: is missing")
			case "extra":
				item["colour"] = nil
				lines = append(lines, place+"/colour: is not allowed")
			}
		}
		order["items"] = items
		err := validate(order, retrypolicy.Attempt{})
		if len(lines) == 0 {
			require.NoError(t, err)
			return
		}
		require.EqualError(t, err, strings.Join(lines, "; "))
	})
}

// Whatever a document holds, a schema that allows nothing but its own shape
// says of every other one where it differs.
func TestPathsAreJSONPointersIntoTheResult(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.SliceOfN(rapid.StringMatching(`[a-c/~ é]{1,6}`), 1, 6).Draw(t, "path")
		schema, doc := any(map[string]any{"type": "null"}), any(true)
		for _, name := range slices.Backward(path) {
			schema = map[string]any{"properties": map[string]any{name: schema}}
			doc = map[string]any{name: doc}
		}
		text, err := json.Marshal(schema)
		require.NoError(t, err)
		s, err := jsonschema.Compile(string(text))
		require.NoError(t, err)
		var pointer strings.Builder
		for _, name := range path {
			pointer.WriteString("/" + strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1"))
		}
		require.EqualError(t, jsonschema.Value[any](s)(doc, retrypolicy.Attempt{}), pointer.String()+": must be null but is boolean")
	})
}
