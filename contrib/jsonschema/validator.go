package jsonschema

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// Value makes a validator of results as encoding/json writes them, which is
// what Temporal's default data converter does with them. It is safe for
// concurrent use. Without a schema it is nil, which a definition refuses.
func Value[T any](schema *jsonschema.Schema) validation.Validator[T] {
	if schema == nil {
		return nil
	}
	return func(result T, _ retrypolicy.Attempt) error {
		text, err := json.Marshal(result)
		if err != nil {
			return because("result cannot be written as JSON", err)
		}
		return judge(schema, string(text))
	}
}

// Text makes a validator of results that are JSON already, such as a language
// model's answer. One that is not is refused, with the line and the column. It
// is safe for concurrent use. Without a schema it is nil, which a definition
// refuses.
func Text[T ~string | ~[]byte](schema *jsonschema.Schema) validation.Validator[T] {
	if schema == nil {
		return nil
	}
	return func(result T, _ retrypolicy.Attempt) error { return judge(schema, string(result)) }
}

func judge(schema *jsonschema.Schema, text string) error {
	doc, err := decode(text)
	if err != nil {
		return because("result is not JSON", err)
	}
	if v := absurd(doc, nil); len(v) > 0 {
		return &refusal{reason: reasonOf(v)}
	}
	err = schema.Validate(doc)
	if err == nil {
		return nil
	}
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return err
	}
	return &refusal{reason: reasonOf(violations(invalid, doc)), all: invalid}
}

// refusal is a reason of bounded length, and all there is behind it.
type refusal struct {
	reason string
	all    error
}

func because(what string, err error) *refusal {
	return &refusal{reason: cut(fmt.Sprintf("%s: %v", what, err), validation.MaxReason), all: err}
}

func (e *refusal) Error() string { return e.reason }
func (e *refusal) Unwrap() error { return e.all }
