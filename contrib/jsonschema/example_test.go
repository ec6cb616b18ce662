package jsonschema_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/contrib/jsonschema"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
)

// Invoice is what is extracted from a page.
type Invoice struct {
	Number string `json:"number"`
	Items  []Item `json:"items"`
}

// Item is a line of it.
type Item struct {
	Name  string  `json:"name,omitempty"`
	Price float64 `json:"price"`
}

// In a program this comes from a file, with go:embed.
const invoiceSchema = `{
	"type": "object",
	"properties": {
		"number": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]+$"},
		"items": {
			"type": "array",
			"minItems": 1,
			"items": {"required": ["name"], "properties": {"price": {"minimum": 0}}}
		}
	}
}`

// LLM is a worker; scripted stands for the model behind it.
type LLM struct{ scripted []string }

// Extract asks the model, and tells it what was wrong with its last answer.
func (l *LLM) Extract(ctx context.Context, page string) (Invoice, error) {
	prompt := "Extract the invoice of " + page
	if _, reason, ok := activity.LastRefusal[Invoice](ctx); ok {
		prompt += ". Your last answer was refused: " + reason
	}
	fmt.Println(prompt)
	answer := l.scripted[0]
	l.scripted = l.scripted[1:]
	var invoice Invoice
	return invoice, json.Unmarshal([]byte(answer), &invoice)
}

var llm = activity.Define[*LLM]("LLM", activity.Options{
	Retry:       retrypolicy.Policy{NumRetries: 2},
	CallTimeout: time.Minute,
})

var Extract = activity.Method(llm, "Extract", (*LLM).Extract, activity.MethodOptions[string, Invoice]{
	RetryUntil: []validation.Validator[Invoice]{
		jsonschema.Value[Invoice](jsonschema.MustCompile(invoiceSchema)),
	},
})

// A model is asked until its answer matches the schema, and told each time what
// does not.
func Example() {
	model := &LLM{scripted: []string{
		`{"number": "17", "items": [{"price": -3}]}`,
		`{"number": "RE-17", "items": [{"name": "bolts", "price": 3}]}`,
	}}
	clock := testsuite.NewClock() // does not really wait
	invoice, err := Extract.Inline(model).WithClock(clock.Clock()).Call(context.Background(), "page 1")
	fmt.Println(invoice, err)
	// Output:
	// Extract the invoice of page 1
	// Extract the invoice of page 1. Your last answer was refused: /items/0/name: is missing; /items/0/price: must be >= 0 but is -3; /number: must match pattern "^[A-Z]{2}-[0-9]+$" but is "17"
	// {RE-17 [{bolts 3}]} <nil>
}

func ExampleValue() {
	valid := jsonschema.Value[Item](jsonschema.MustCompile(`{
		"required": ["name"],
		"properties": {"price": {"maximum": 100}}
	}`))
	fmt.Println(valid(Item{Name: "bolts", Price: 3}, retrypolicy.Attempt{}))
	fmt.Println(valid(Item{Price: 300}, retrypolicy.Attempt{}))
	// Output:
	// <nil>
	// /name: is missing; /price: must be <= 100 but is 300
}

// For methods that return JSON as it came.
func ExampleText() {
	valid := jsonschema.Text[string](jsonschema.MustCompile(`{"required": ["name"]}`))
	fmt.Println(valid(`{"name": "bolts"}`, retrypolicy.Attempt{}))
	fmt.Println(valid(`Sure! Here is your JSON: {`, retrypolicy.Attempt{}))
	// Output:
	// <nil>
	// result is not JSON: line 1, column 1: invalid character 'S' looking for beginning of value
}

// Schemas that are read at run time are checked without a panic.
func ExampleCompile() {
	_, err := jsonschema.Compile(`{"properties": {"price": {"minimum": "0"}}}`)
	fmt.Println(err)
	_, err = jsonschema.Compile(`{"properties": {"item": {"$ref": "#/$defs/itme"}}}`)
	fmt.Println(err)
	// Output:
	// jsonschema: schema: /properties/price/minimum: must be number but is string
	// jsonschema: schema: /properties/item/$ref: "#/$defs/itme" is not in the schema
}
