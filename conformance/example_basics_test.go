package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
)

// The examples below are the code blocks of concurry's guide, in its order.
// They run in this process, on a clock that does not wait; with Execute or
// Submit in place of Inline the same methods run on Temporal.

// API is a client of a service that is down now and then.
type API struct {
	Endpoint string
	failures []error // of the calls to come
}

// next is the next failure, nil once there are none left.
func (a *API) next() error {
	if len(a.failures) == 0 {
		return nil
	}
	err := a.failures[0]
	a.failures = a.failures[1:]
	return err
}

// FetchData asks for a record.
func (a *API) FetchData(_ context.Context, id int) (string, error) {
	if err := a.next(); err != nil {
		fmt.Println("failed:", err)
		return "", err
	}
	return fmt.Sprintf("%s/%d", a.Endpoint, id), nil
}

func refused() error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
}

// Retry up to three times on any error.
func Example_simpleRetryConfiguration() {
	api := activity.Define[*API]("API", activity.Options{
		Retry: retrypolicy.Policy{
			NumRetries: 3,
			Backoff:    retrypolicy.Exponential,
			Wait:       time.Second,
			Jitter:     retrypolicy.FullJitter,
		},
		CallTimeout: time.Minute,
	})
	fetchData := activity.Method(api, "FetchData", (*API).FetchData)

	worker := &API{Endpoint: "https://api.example.com", failures: []error{refused(), io.ErrUnexpectedEOF}}
	result, err := fetchData.Inline(worker).WithClock(testsuite.NewClock().Clock()).Call(context.Background(), 123)
	fmt.Println(result, err)
	// Output:
	// failed: dial tcp: connection refused
	// failed: unexpected EOF
	// https://api.example.com/123 <nil>
}

// printWaits prints the longest waits of a policy.
func printWaits(p retrypolicy.Policy) {
	for n := 1; n <= p.NumRetries; n++ {
		fmt.Printf("attempt %d: random(0, %v)\n", n, p.Ceiling(n))
	}
}

// Wait·2^(n-1). The guide's own table is doubled; its formula is this one.
func Example_exponentialBackoff() {
	printWaits(retrypolicy.Policy{NumRetries: 5, Backoff: retrypolicy.Exponential, Wait: time.Second})
	// Output:
	// attempt 1: random(0, 1s)
	// attempt 2: random(0, 2s)
	// attempt 3: random(0, 4s)
	// attempt 4: random(0, 8s)
	// attempt 5: random(0, 16s)
}

// Wait·n.
func Example_linearBackoff() {
	printWaits(retrypolicy.Policy{NumRetries: 5, Backoff: retrypolicy.Linear, Wait: 2 * time.Second})
	// Output:
	// attempt 1: random(0, 2s)
	// attempt 2: random(0, 4s)
	// attempt 3: random(0, 6s)
	// attempt 4: random(0, 8s)
	// attempt 5: random(0, 10s)
}

// Wait·fib(n).
func Example_fibonacciBackoff() {
	printWaits(retrypolicy.Policy{NumRetries: 5, Backoff: retrypolicy.Fibonacci, Wait: time.Second})
	// Output:
	// attempt 1: random(0, 1s)
	// attempt 2: random(0, 1s)
	// attempt 3: random(0, 2s)
	// attempt 4: random(0, 3s)
	// attempt 5: random(0, 5s)
}

// sleep = random_between(0, calculated_wait), or the calculated wait itself.
func Example_fullJitter() {
	random := testsuite.Seeded(1)
	full := retrypolicy.Policy{Wait: 10 * time.Second} // FullJitter is the zero value
	for range 3 {
		sleep := full.Delay(1, random)
		fmt.Println(sleep > 0 && sleep <= 10*time.Second)
	}
	none := retrypolicy.Policy{Wait: 10 * time.Second, Jitter: retrypolicy.NoJitter}
	fmt.Println(none.Delay(1, random))
	// Output:
	// true
	// true
	// true
	// 10s
}

// fetch calls FetchData under a policy.
func fetch(p retrypolicy.Policy, failures ...error) {
	api := activity.Define[*API]("API", activity.Options{Retry: p, CallTimeout: time.Hour})
	fetchData := activity.Method(api, "FetchData", (*API).FetchData)
	worker := &API{Endpoint: "ok", failures: failures}
	result, err := fetchData.Inline(worker).WithClock(testsuite.NewClock().Clock()).Call(context.Background(), 7)
	fmt.Println(result, err)
}

// Only network errors are retried.
func Example_retryOnSpecificErrors() {
	policy := retrypolicy.Policy{
		NumRetries: 3,
		RetryOn: []retrypolicy.Filter{
			retrypolicy.ErrorAs[*net.OpError](),
			retrypolicy.ErrorIs(context.DeadlineExceeded),
		},
	}
	fetch(policy, refused())
	fetch(policy, &HTTPError{404})
	// Output:
	// failed: dial tcp: connection refused
	// ok/7 <nil>
	// failed: HTTP status 404
	//  HTTP status 404
}

// Retry only on specific status codes.
func Example_customFilter() {
	shouldRetry := retrypolicy.If(func(err error, _ retrypolicy.Attempt) bool {
		if status, ok := errors.AsType[*HTTPError](err); ok {
			return status.Code == 429 || status.Code == 503
		}
		_, network := errors.AsType[*net.OpError](err)
		return network
	})
	fetch(retrypolicy.Policy{NumRetries: 5, RetryOn: []retrypolicy.Filter{shouldRetry}}, &HTTPError{503}, refused(), &HTTPError{400})
	// Output:
	// failed: HTTP status 503
	// failed: dial tcp: connection refused
	// failed: HTTP status 400
	//  HTTP status 400
}

// A type, and a function for the rest: one that says yes is enough.
func Example_multipleFilters() {
	policy := retrypolicy.Policy{
		NumRetries: 3,
		RetryOn: []retrypolicy.Filter{
			retrypolicy.ErrorAs[*net.OpError](),
			retrypolicy.If(func(err error, _ retrypolicy.Attempt) bool { return err.Error() == "busy, please retry" }),
		},
	}
	fetch(policy, refused(), errors.New("busy, please retry"), errors.New("bad request"))
	// Output:
	// failed: dial tcp: connection refused
	// failed: busy, please retry
	// failed: bad request
	//  bad request
}

// What a filter knows: the attempt, the time since the first one started, the
// method and its arguments.
func Example_contextInFilters() {
	smart := retrypolicy.If(func(err error, a retrypolicy.Attempt) bool {
		_, status := errors.AsType[*HTTPError](err)
		_, network := errors.AsType[*net.OpError](err)
		fmt.Println("attempt", a.Number, "of", a.Method, a.Args(), "after", a.Elapsed())
		switch {
		case a.Elapsed() > 30*time.Second: // not after 30 seconds
			return false
		case status && a.Number >= 3: // some errors no more than three times
			return false
		default:
			return status || network
		}
	})
	fetch(retrypolicy.Policy{NumRetries: 5, Wait: 10 * time.Second, Jitter: retrypolicy.NoJitter, RetryOn: []retrypolicy.Filter{smart}},
		refused(), refused(), refused(), refused())
	// Output:
	// failed: dial tcp: connection refused
	// attempt 1 of API.FetchData [7] after 0s
	// failed: dial tcp: connection refused
	// attempt 2 of API.FetchData [7] after 10s
	// failed: dial tcp: connection refused
	// attempt 3 of API.FetchData [7] after 30s
	// failed: dial tcp: connection refused
	// attempt 4 of API.FetchData [7] after 1m10s
	//  dial tcp: connection refused
}

// LLM is a language model that answers from a script.
type LLM struct{ answers []string }

// GenerateJSON may return something that is no JSON, or the wrong one.
func (l *LLM) GenerateJSON(context.Context, string) (map[string]any, error) {
	answer := l.answers[0]
	l.answers = l.answers[1:]
	fmt.Println("the model says", answer)
	var out map[string]any
	err := json.Unmarshal([]byte(answer), &out)
	return out, err
}

// generate asks the model under a policy, until validators accept.
func generate(p retrypolicy.Policy, until []validation.Validator[map[string]any], answers ...string) (map[string]any, error) {
	llm := activity.Define[*LLM]("LLM", activity.Options{Retry: p, CallTimeout: time.Hour})
	generateJSON := activity.Method(llm, "GenerateJSON", (*LLM).GenerateJSON, activity.MethodOptions[string, map[string]any]{RetryUntil: until})
	return generateJSON.Inline(&LLM{answers}).WithClock(testsuite.NewClock().Clock()).Call(context.Background(), "generate user data")
}

// Retry until the result has the fields that are needed.
func Example_simpleValidation() {
	hasFields := func(result map[string]any, _ retrypolicy.Attempt) error {
		for _, field := range []string{"data", "status"} {
			if _, ok := result[field]; !ok {
				return fmt.Errorf("the field %s is missing", field)
			}
		}
		return nil
	}
	result, err := generate(retrypolicy.Policy{NumRetries: 5}, []validation.Validator[map[string]any]{hasFields},
		`{}`, `{"data": 1}`, `{"data": 1, "status": "ok"}`)
	fmt.Println(result, err)
	// Output:
	// the model says {}
	// the model says {"data": 1}
	// the model says {"data": 1, "status": "ok"}
	// map[data:1 status:ok] <nil>
}

// All validators must pass.
func Example_multipleValidators() {
	hasRequiredFields := validation.AcceptIf("id and name are required", func(r map[string]any) bool { return r["id"] != nil && r["name"] != nil })
	hasValidValues := validation.AcceptIf("id must be above 0, name not empty", func(r map[string]any) bool {
		id, _ := r["id"].(float64)
		return id > 0 && r["name"] != ""
	})
	result, err := generate(retrypolicy.Policy{NumRetries: 3}, []validation.Validator[map[string]any]{hasRequiredFields, hasValidValues},
		`{"id": 1}`, `{"id": 0, "name": "x"}`, `{"id": 1, "name": "x"}`)
	fmt.Println(result, err)
	// Output:
	// the model says {"id": 1}
	// the model says {"id": 0, "name": "x"}
	// the model says {"id": 1, "name": "x"}
	// map[id:1 name:x] <nil>
}

// Retry on parsing errors, and until the text is long enough.
func Example_combiningErrorsAndValidation() {
	result, err := generate(
		retrypolicy.Policy{NumRetries: 5, RetryOn: []retrypolicy.Filter{retrypolicy.ErrorAs[*json.SyntaxError]()}},
		[]validation.Validator[map[string]any]{
			validation.AcceptIf("the text is too short", func(r map[string]any) bool {
				text, _ := r["text"].(string)
				return len(text) > 10
			}),
		},
		`Sure! Here is`, `{"text": "short"}`, `{"text": "long enough"}`)
	fmt.Println(result, err)
	// Output:
	// the model says Sure! Here is
	// the model says {"text": "short"}
	// the model says {"text": "long enough"}
	// map[text:long enough] <nil>
}

// What is left when no result was good enough.
func Example_retryValidationError() {
	never := func(map[string]any, retrypolicy.Attempt) error { return errors.New("not what I want") }
	_, err := generate(retrypolicy.Policy{NumRetries: 1}, []validation.Validator[map[string]any]{never}, `{"n": 1}`, `{"n": 2}`)
	var rve *validation.RetryValidationError
	if validation.As(err, &rve) {
		all, _ := validation.Results[map[string]any](rve)
		last, _ := validation.Last[map[string]any](rve)
		fmt.Println("failed after", rve.Attempts, "attempts")
		fmt.Println("all results:", all)
		fmt.Printf("validation errors: %q\n", rve.ValidationErrors)
		fmt.Println("the last one:", last)
	}
	// Output:
	// the model says {"n": 1}
	// the model says {"n": 2}
	// failed after 2 attempts
	// all results: [map[n:1] map[n:2]]
	// validation errors: ["not what I want" "not what I want"]
	// the last one: map[n:2]
}
