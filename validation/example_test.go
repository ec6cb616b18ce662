package validation_test

import (
	"errors"
	"fmt"

	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// A validator says why a result is not good enough.
func ExampleValidator() {
	confident := func(r reply, a retrypolicy.Attempt) error {
		wanted := 0.9
		if a.Number > 2 {
			wanted = 0.7 // accept less after two attempts
		}
		if r.Score < wanted {
			return fmt.Errorf("score %v is below %v", r.Score, wanted)
		}
		return nil
	}
	fmt.Println(confident(reply{Score: 0.8}, retrypolicy.Attempt{Number: 1}))
	fmt.Println(confident(reply{Score: 0.8}, retrypolicy.Attempt{Number: 3}))
	// Output:
	// score 0.8 is below 0.9
	// <nil>
}

func ExampleCheck() {
	hasText := validation.AcceptIf("no text", func(r reply) bool { return r.Text != "" })
	fmt.Println(hasText(reply{}, retrypolicy.Attempt{}))
	// Output: no text
}

// What a call returned that had no valid result: a workflow, a client and a
// call in this process all find the same.
func ExampleAs() {
	err := generate()
	var rve *validation.RetryValidationError
	if validation.As(err, &rve) {
		fmt.Println(rve.MethodName, "after", rve.Attempts, "attempts:", rve.ValidationErrors)
	}
	// Output: LLM.Generate after 2 attempts: [too unsure no text]
}

func ExampleResults() {
	var rve *validation.RetryValidationError
	if validation.As(generate(), &rve) {
		all, err := validation.Results[reply](rve)
		fmt.Println(all, err)
	}
	// Output: [{hello 0.4} { 0.3}] <nil>
}

// Fall back on the best of what was refused.
func ExampleBest() {
	var rve *validation.RetryValidationError
	if validation.As(generate(), &rve) {
		best, err := validation.Best(rve, func(r reply) float64 { return r.Score })
		fmt.Println(best.Text, err)
	}
	// Output: hello <nil>
}

func ExampleLast() {
	var rve *validation.RetryValidationError
	if validation.As(generate(), &rve) {
		last, err := validation.Last[reply](rve)
		fmt.Println(last.Score, err)
	}
	// Output: 0.3 <nil>
}

func ExampleRetryValidationError() {
	err := generate()
	fmt.Println(errors.Unwrap(err))
	// Output: LLM.Generate: no valid result in 2 attempt(s): no text
}

// generate is a call whose results its validators refused.
func generate() error {
	return fmt.Errorf("generate: %w", &validation.RetryValidationError{
		MethodName: "LLM.Generate", Attempts: 2, ValidationErrors: []string{"too unsure", "no text"},
		Outcomes: []retrypolicy.Outcome{
			{Number: 1, Verdict: retrypolicy.VerdictRefused, Reason: "too unsure", Result: wire.Encode(reply{"hello", 0.4})},
			{Number: 2, Verdict: retrypolicy.VerdictRefused, Reason: "no text", Result: wire.Encode(reply{"", 0.3})},
		},
	})
}

// A validator that finds several mistakes names them all in one reason.
func ExampleReasons() {
	order := func(result map[string]int, _ retrypolicy.Attempt) error {
		var mistakes []string
		for _, key := range []string{"items", "total"} {
			if result[key] <= 0 {
				mistakes = append(mistakes, fmt.Sprintf("%s: must be above 0 but is %d", key, result[key]))
			}
		}
		return validation.Reasons(mistakes)
	}
	fmt.Println(order(map[string]int{"total": -3}, retrypolicy.Attempt{}))
	fmt.Println(order(map[string]int{"items": 1, "total": 3}, retrypolicy.Attempt{}))
	// Output:
	// items: must be above 0 but is 0; total: must be above 0 but is -3
	// <nil>
}
