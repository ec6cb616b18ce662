package structtags_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/go-playground/validator/v10"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/contrib/structtags"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
)

// Invoice is what is extracted from a page.
type Invoice struct {
	Number string `json:"number" validate:"required,startswith=RE-"`
	Items  []Item `json:"items"  validate:"min=1,dive"`
}

// Item is a line of it.
type Item struct {
	Name  string  `json:"name"  validate:"required"`
	Price float64 `json:"price" validate:"gte=0"`
}

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
	RetryUntil: []validation.Validator[Invoice]{structtags.Must[Invoice]()},
})

// A model is asked until its answer has what the tags ask for, and told each
// time what has not.
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
	// Extract the invoice of page 1. Your last answer was refused: items[0].name: must satisfy required but is ""; items[0].price: must satisfy gte=0 but is -3; number: must satisfy startswith=RE- but is "17"
	// {RE-17 [{bolts 3}]} <nil>
}

// Of slices, arrays and maps of structs every element is validated.
func ExampleMust() {
	valid := structtags.Must[map[string]Item]()
	fmt.Println(valid(map[string]Item{"a": {"bolts", 3}}, retrypolicy.Attempt{}))
	fmt.Println(valid(map[string]Item{"a": {"bolts", -3}, "b": {}}, retrypolicy.Attempt{}))
	// Output:
	// <nil>
	// [a].price: must satisfy gte=0 but is -3; [b].name: must satisfy required but is ""
}

// Tags that are wrong are found before anything runs, all of them.
func ExampleNew() {
	type Contact struct {
		Mail  string `validate:"required,emial"`
		Age   int    `validate:"gte=eighteen"`
		Phone string `validate:"required_without=Email"`
	}
	_, err := structtags.New[Contact]()
	fmt.Println(err)
	_, err = structtags.New[int]()
	fmt.Println(err)
	// Output:
	// structtags: structtags_test.Contact.Mail: tag "emial": must be a validation of the validator's
	// structtags_test.Contact.Age: tag "gte=eighteen": strconv.ParseInt: parsing "eighteen": invalid syntax
	// structtags_test.Contact.Phone: tag "required_without=Email": structtags_test.Contact has no field "Email"
	// structtags: type int: must be a struct, a pointer to one, or a slice, an array or a map of these
}

// A validator of one's own brings validations that the library does not have.
func ExampleWith() {
	own := validator.New(validator.WithRequiredStructEnabled())
	err := own.RegisterValidation("polite", func(f validator.FieldLevel) bool {
		return strings.Contains(f.Field().String(), "please")
	})
	if err != nil {
		panic(err)
	}
	type Letter struct {
		Text string `validate:"polite"`
	}
	valid := structtags.Must[Letter](structtags.With(own))
	fmt.Println(valid(Letter{"Pay now."}, retrypolicy.Attempt{}))
	// Output: Text: must satisfy polite but is "Pay now."
}
