package jsonschema_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	lib "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/contrib/jsonschema"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// judge is the reason for which a text is refused; empty if it is accepted.
func judge(schema, text string) string {
	if err := jsonschema.Text[string](jsonschema.MustCompile(schema))(text, retrypolicy.Attempt{}); err != nil {
		return err.Error()
	}
	return ""
}

func TestEveryPlaceThatIsWrongIsNamedWithWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ schema, text, reason string }{
		{`{}`, `{"a": 1}`, ``},
		{`true`, `null`, ``},
		{`false`, `null`, `(root): is not allowed`},
		{`{"type": "object"}`, `[]`, `(root): must be object but is array`},
		{`{"type": ["string", "null"]}`, `1`, `(root): must be null or string but is number`},
		{`{"type": "integer"}`, `1.5`, `(root): must be integer but is number`},
		{`{"type": "integer"}`, `1.0`, ``},
		{`{"enum": ["a", 2, {"b": 3}]}`, `"c"`, `(root): must be one of "a", 2, {"b":3} but is "c"`},
		{`{"enum": ["a"]}`, `[1]`, `(root): must be "a" but is [1]`},
		{`{"const": {"a": "<b>"}}`, `0`, `(root): must be {"a":"<b>"} but is 0`},
		{`{"minimum": 0}`, `-3`, `(root): must be >= 0 but is -3`},
		{`{"maximum": 10000}`, `123456.25`, `(root): must be <= 10000 but is 123456.25`},
		{`{"exclusiveMinimum": 0.1}`, `0.10`, `(root): must be > 0.1 but is 0.1`},
		{`{"exclusiveMaximum": 12345678901234567890}`, `12345678901234567890`, `(root): must be < 12345678901234567890 but is 12345678901234567890`},
		{`{"multipleOf": 0.25}`, `0.3`, `(root): must be a multiple of 0.25 but is 0.3`},
		{`{"minLength": 2}`, `"é"`, `(root): must have at least 2 characters but has 1`},
		{`{"maxLength": 1}`, `"éé"`, `(root): must have at most 1 character but has 2`},
		{`{"pattern": "^[a-z]+$"}`, `"A\"\n"`, `(root): must match pattern "^[a-z]+$" but is "A\"\n"`},
		{`{"format": "date-time"}`, `"today"`, `(root): must be a valid date-time but is "today": less than 20 characters long`},
		{`{"format": "email"}`, `"nobody"`, `(root): must be a valid email but is "nobody": missing @`},
		{`{"format": "unheard-of"}`, `"x"`, ``},
		{`{"minItems": 1}`, `[]`, `(root): must have at least 1 item but has 0`},
		{`{"maxItems": 0}`, `[1]`, `(root): must have at most 0 items but has 1`},
		{`{"uniqueItems": true}`, `[1, 2, 1.0]`, `(root): must have no equal items but items 0 and 2 are`},
		{`{"contains": {"type": "null"}}`, `[1]`, `(root): must have an item that matches "contains"`},
		{`{"contains": true, "minContains": 2}`, `[1]`, `(root): must have at least 2 items that match "contains" but has 1`},
		{`{"contains": true, "maxContains": 1}`, `[1, 2]`, `(root): must have at most 1 item that matches "contains" but has 2`},
		{`{"$schema": "http://json-schema.org/draft-07/schema#", "items": [{}], "additionalItems": false}`, `[1, 2, 3]`, `(root): must have fewer items, by 2`},
		{`{"prefixItems": [{}], "items": false}`, `[1, 2, 3]`, `/1: is not allowed; /2: is not allowed`},
		{`{"minProperties": 1}`, `{}`, `(root): must have at least 1 property but has 0`},
		{`{"maxProperties": 0}`, `{"a": 1}`, `(root): must have at most 0 properties but has 1`},
		{`{"required": ["b", "a"]}`, `{}`, `/a: is missing; /b: is missing`},
		{`{"dependentRequired": {"a": ["b"]}}`, `{"a": 1}`, `/b: is missing, which "a" needs`},
		{`{"$schema": "http://json-schema.org/draft-07/schema#", "dependencies": {"a": ["b"]}}`, `{"a": 1}`, `/b: is missing, which "a" needs`},
		{`{"properties": {"a": {}}, "additionalProperties": false}`, `{"a": 1, "b": 2, "c/d": 3}`, `/b: is not allowed; /c~1d: is not allowed`},
		{`{"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": false}`, `{"a": 1, "b": 2}`, `/b: is not allowed`},
		{`{"propertyNames": {"maxLength": 1}}`, `{"aa": 1, "b": 2}`, `/aa: its name must have at most 1 character but has 2`},
		{`{"not": {"type": "null"}}`, `null`, `(root): must not match "not"`},
		{`{"if": {"type": "string"}, "then": {"minLength": 1}, "else": false}`, `""`, `(root): must have at least 1 character but has 0`},
		{`{"allOf": [{"minimum": 1}, {"multipleOf": 2}]}`, `-1`, `(root): must be >= 1 but is -1; (root): must be a multiple of 2 but is -1`},
		{`{"$ref": "#/$defs/a", "$defs": {"a": {"minimum": 1}}}`, `0`, `(root): must be >= 1 but is 0`},
		{`{"$ref": "#"}`, `0`, `(root): cannot be judged: the schema at # refers to itself`},
		{`{"items": {"minimum": 0}}`, `[0,1,-2,3,4,5,6,7,8,9,-10]`, `/2: must be >= 0 but is -2; /10: must be >= 0 but is -10`},
		{`{"maximum": 1}`, `1e1001`, `(root): must have an exponent of at most 1000 but is 1e1001`},
		{`{"maximum": 1}`, `{"a": [0, -1E-99999999999999999999]}`, `/a/1: must have an exponent of at most 1000 but is -1E-99999999999999999999`},
		{`{}`, ``, `result is not JSON: line 1, column 1: it ends too early`},
		{`{}`, "{\n  \"é\": maybe\n}", `result is not JSON: line 2, column 8: invalid character 'm' looking for beginning of value`},
		{`{}`, "```json\n{}\n```", "result is not JSON: line 1, column 1: invalid character '`' looking for beginning of value"},
		{`{}`, "{}\n\nThat is all.", `result is not JSON: line 3, column 1: it must end after the first value`},
		{`{}`, strings.Repeat("[", 20000), `result is not JSON: line 1, column 10001: invalid character '[' exceeded max depth`},
		{`{"additionalProperties": false}`, `{"line\nbreak": 1}`, `/line\nbreak: is not allowed`},
	} {
		assert.Equal(t, test.reason, judge(test.schema, test.text), "%s of %s", test.schema, test.text)
	}
}

func TestOfAlternativesTheOneOfTheResultsTypeIsMeant(t *testing.T) {
	t.Parallel()
	optional := `{"anyOf": [{"type": "object", "properties": {"a": {"minimum": 0}, "b": {"maximum": 0}}}, {"type": "null"}]}`
	shapes := `{"oneOf": [{"required": ["radius"]}, {"$ref": "#/$defs/box"}], "$defs": {"box": {"required": ["width", "height"]}}}`
	for _, test := range []struct{ schema, text, reason string }{
		{optional, `null`, ``},
		{optional, `{"a": -1, "b": 1}`, `/a: must be >= 0 but is -1; /b: must be <= 0 but is 1`},
		{optional, `7`, `(root): must be null or object but is number`},
		{`{"anyOf": [{"enum": ["a", "b"]}, {"type": "null"}]}`, `"c"`, `(root): must be one of "a", "b" but is "c"`},
		{`{"anyOf": [{"enum": ["a", "b"]}, {"minimum": 3}]}`, `2`, `(root): must be >= 3 but is 2`},
		{`{"anyOf": [{"const": "a"}, {"minimum": 3}]}`, `2`, `(root): must be >= 3 but is 2`},
		{`{"anyOf": [{"const": "a"}, {"type": "null"}]}`, `2`, `(root): must match one of 2 alternatives: (must be "a" but is 2) or (must be null but is number)`},
		{shapes, `{"radius": 1}`, ``},
		{shapes, `{"width": 1}`, `(root): must match one of 2 alternatives: (/radius is missing) or (/height is missing)`},
		{shapes, `{"radius": 1, "width": 1, "height": 1}`, `(root): must match one alternative alone but matches both number 1 and number 2`},
		{`{"properties": {"a": {"anyOf": [{"minimum": 3}, {"multipleOf": 2}]}}}`, `{"a": 1}`, `/a: must match one of 2 alternatives: (must be >= 3 but is 1) or (must be a multiple of 2 but is 1)`},
	} {
		assert.Equal(t, test.reason, judge(test.schema, test.text), "%s of %s", test.schema, test.text)
	}
}

func TestWhereTheLibraryLosesThePlaceAllThatItCanBeAreNamed(t *testing.T) {
	t.Parallel()
	schema := `{"additionalProperties": {"propertyNames": {"pattern": "^[a-z]$"}}}`
	for range 20 { // the library's order is that of a map
		assert.Equal(t, `/a/x1: its name must match pattern "^[a-z]$" but is "x1"; /b/x2: its name must match pattern "^[a-z]$" but is "x2"`,
			judge(schema, `{"a": {"x1": 0}, "b": {"x2": 0}, "c": {"y": 0}}`))
		assert.Equal(t, `/a/x1 or /b/x1: its name must match pattern "^[a-z]$" but is "x1"`,
			judge(schema, `{"a": {"x1": 0}, "b": {"x1": 0}}`))
	}
}

func TestAReasonIsBoundedAndCountsWhatHasNoRoom(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 500)
	for name, test := range map[string]struct{ schema, text, end string }{
		"many places":    {`{"items": {"minimum": 0}}`, "[" + strings.TrimSuffix(strings.Repeat("-1,", 5000), ",") + "]", "more"},
		"a long value":   {`{"pattern": "^x$"}`, `"` + long + `"`, "é…"},
		"a long name":    {`{"additionalProperties": false}`, `{"` + long + `": 1}`, "…: is not allowed"},
		"a long pattern": {`{"pattern": "^` + long + `$"}`, `"x"`, `but is "x"`},
		"a long path":    {`{"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}}`, strings.Repeat("[", 900) + "1" + strings.Repeat("]", 900), "must be array but is number"},
		"many names":     {`{"items": {"propertyNames": {"maxLength": 1}}}`, "[" + strings.Repeat(`{"ab": 1}, `, 20000) + "{}]", "has 2"},
		"long lines":     {`{"items": {"enum": ["` + long + `", "` + long + `"]}}`, `["` + strings.Repeat(`x","`, 20) + `"]`, "more"},
	} {
		reason := judge(test.schema, test.text)
		assert.LessOrEqual(t, len(reason), 1<<10, name)
		assert.True(t, strings.HasSuffix(reason, test.end), "%s: %s", name, reason)
	}
	assert.Regexp(t, `^/0: must be >= 0 but is -1; /1: .*; /34: must be >= 0 but is -1; and 4965 more$`,
		judge(`{"items": {"minimum": 0}}`, "["+strings.TrimSuffix(strings.Repeat("-1,", 5000), ",")+"]"))
}

func TestTheLibrarysWholeErrorIsInsideTheRefusal(t *testing.T) {
	t.Parallel()
	err := jsonschema.Text[string](jsonschema.MustCompile(`{"items": {"minimum": 0}}`))("[-1, -2]", retrypolicy.Attempt{})
	invalid, ok := errors.AsType[*lib.ValidationError](fmt.Errorf("refused: %w", err))
	require.True(t, ok)
	assert.Len(t, invalid.Causes, 2)
}

func TestTheEngineKeepsAReasonAsItIsAndObserversFindTheLibrarysError(t *testing.T) {
	t.Parallel()
	wrong := "[" + strings.TrimSuffix(strings.Repeat("-1,", 500), ",") + "]"
	var seen []int
	answer := activity.Func("Answer", func(context.Context, string) (string, error) { return wrong, nil },
		activity.FuncOptions[string, string]{
			Retry: retrypolicy.Policy{NumRetries: 1, Wait: retrypolicy.NoWait}, CallTimeout: time.Minute,
			Observers: []retrypolicy.Observer{func(_ context.Context, e retrypolicy.Event) {
				if invalid, ok := errors.AsType[*lib.ValidationError](e.Err); ok {
					seen = append(seen, len(invalid.Causes))
				}
			}}, RetryUntil: []validation.Validator[string]{
				jsonschema.Text[string](jsonschema.MustCompile(`{"items": {"minimum": 0}}`)),
			},
		})
	_, err := answer.Inline().Call(t.Context(), "")
	var rve *validation.RetryValidationError
	require.True(t, validation.As(err, &rve))
	reason := judge(`{"items": {"minimum": 0}}`, wrong)
	assert.Equal(t, []string{reason, reason}, rve.ValidationErrors)
	assert.Equal(t, []int{500, 500}, seen)
}

type price struct {
	Amount   float64 `json:"amount"`
	Currency string  `json:"currency,omitempty"`
}

func TestAValueIsJudgedAsItIsWritten(t *testing.T) {
	t.Parallel()
	schema := jsonschema.MustCompile(`{
		"type": "object",
		"required": ["amount", "currency"],
		"properties": {"amount": {"minimum": 0}, "currency": {"enum": ["EUR", "USD"]}}
	}`)
	value := jsonschema.Value[price](schema)
	assert.NoError(t, value(price{1.5, "EUR"}, retrypolicy.Attempt{}))
	assert.EqualError(t, value(price{Amount: -1}, retrypolicy.Attempt{}), "/amount: must be >= 0 but is -1; /currency: is missing")
	err := value(price{math.NaN(), "EUR"}, retrypolicy.Attempt{})
	assert.EqualError(t, err, "result cannot be written as JSON: json: unsupported value: NaN")
	_, ok := errors.AsType[*json.UnsupportedValueError](err)
	assert.True(t, ok)

	pointer := jsonschema.Value[*price](schema)
	assert.NoError(t, pointer(&price{1.5, "EUR"}, retrypolicy.Attempt{}))
	assert.EqualError(t, pointer(nil, retrypolicy.Attempt{}), "(root): must be object but is null")

	raw := jsonschema.Value[json.RawMessage](schema)
	assert.NoError(t, raw(json.RawMessage(`{"amount": 1, "currency": "USD"}`), retrypolicy.Attempt{}))
	assert.ErrorContains(t, raw(json.RawMessage(`{"amount"`), retrypolicy.Attempt{}), "result cannot be written as JSON")

	anything := jsonschema.Value[any](schema)
	assert.EqualError(t, anything("text", retrypolicy.Attempt{}), "(root): must be object but is string")
}

func TestTextIsStringsAndBytes(t *testing.T) {
	t.Parallel()
	type answer string
	schema := jsonschema.MustCompile(`{"type": "object"}`)
	assert.NoError(t, jsonschema.Text[string](schema)(" {} ", retrypolicy.Attempt{}))
	assert.NoError(t, jsonschema.Text[answer](schema)("{}", retrypolicy.Attempt{}))
	assert.NoError(t, jsonschema.Text[[]byte](schema)([]byte("{}"), retrypolicy.Attempt{}))
	assert.NoError(t, jsonschema.Text[json.RawMessage](schema)(json.RawMessage("{}"), retrypolicy.Attempt{}))
	assert.Error(t, jsonschema.Text[json.RawMessage](schema)(nil, retrypolicy.Attempt{}))
}

func TestWithoutASchemaThereIsNoValidator(t *testing.T) {
	t.Parallel()
	assert.Nil(t, jsonschema.Value[price](nil))
	assert.Nil(t, jsonschema.Text[string](nil))
}

func TestOneValidatorServesCallsSideBySide(t *testing.T) {
	t.Parallel()
	validate := jsonschema.Text[string](jsonschema.MustCompile(everything))
	want := validate(broken, retrypolicy.Attempt{}).Error()
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 50 {
				assert.EqualError(t, validate(broken, retrypolicy.Attempt{}), want)
				assert.NoError(t, validate(`{"id": "a-1"}`, retrypolicy.Attempt{}))
			}
		})
	}
	group.Wait()
}
