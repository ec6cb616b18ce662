package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
)

// Fast-fail for what may fail, aggressive for what must not.
func Example_presets() {
	fast, aggressive := retrypolicy.FastFail(), retrypolicy.Aggressive()
	fmt.Println(fast.NumRetries, fast.Backoff, fast.Wait)
	fmt.Println(aggressive.NumRetries, aggressive.Backoff, aggressive.Wait)
	// Output:
	// 1 linear 100ms
	// 10 exponential 1s
}

// Transient errors are retried, bugs are not.
func Example_beSpecific() {
	transient := []retrypolicy.Filter{
		retrypolicy.ErrorAs[net.Error](),
		retrypolicy.ErrorIs(io.ErrUnexpectedEOF, context.DeadlineExceeded),
	}
	fetch(retrypolicy.Policy{NumRetries: 5, RetryOn: transient}, refused(), io.ErrUnexpectedEOF, errors.New("index out of range"))
	// Output:
	// failed: dial tcp: connection refused
	// failed: unexpected EOF
	// failed: index out of range
	//  index out of range
}

// Exponential backoff from one second is the default.
func Example_networkCalls() {
	printWaits(retrypolicy.Policy{NumRetries: 5})
	// Output:
	// attempt 1: random(0, 1s)
	// attempt 2: random(0, 2s)
	// attempt 3: random(0, 4s)
	// attempt 4: random(0, 8s)
	// attempt 5: random(0, 16s)
}

// A number of retries, and a time within which they start.
func Example_retryLimits() {
	fetch(retrypolicy.Policy{NumRetries: 3, MaxElapsed: 5 * time.Second, Jitter: retrypolicy.NoJitter},
		refused(), refused(), refused(), refused())
	// Output:
	// failed: dial tcp: connection refused
	// failed: dial tcp: connection refused
	// failed: dial tcp: connection refused
	//  dial tcp: connection refused; gave up after 3 attempts: maximum elapsed time: the wait of 4s does not fit into 2s, what is left of MaxElapsed
}

// A timeout for each attempt, one for the call with all its retries, and one
// that bounds the caller's own patience and leaves the call running.
func Example_timeouts() {
	api := activity.Define[*API]("API", activity.Options{
		Retry:          retrypolicy.Policy{NumRetries: 3},
		AttemptTimeout: 10 * time.Second,
		CallTimeout:    30 * time.Second,
		TaskQueue:      "api",
	})
	fetchData := activity.Method(api, "FetchData", (*API).FetchData)

	get := func(call *activity.Call[string]) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return call.Get(ctx) // errors.Is(err, context.DeadlineExceeded): it goes on
	}
	_ = get

	result, err := fetchData.Inline(&API{Endpoint: "ok", failures: []error{refused()}}).
		WithClock(testsuite.NewClock().Clock()).Call(context.Background(), 1)
	fmt.Println(result, err)
	// Output:
	// failed: dial tcp: connection refused
	// ok/1 <nil>
}

// One record per decision.
func Example_logging() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	api := activity.Define[*API]("API", activity.Options{
		Retry:       retrypolicy.Policy{NumRetries: 3, Jitter: retrypolicy.NoJitter},
		CallTimeout: time.Minute,
		Observers:   []retrypolicy.Observer{retrypolicy.LogTo(logger)},
	})
	fetchData := activity.Method(api, "FetchData", (*API).FetchData)
	_, _ = fetchData.Inline(&API{failures: []error{refused()}}).WithClock(testsuite.NewClock().Clock()).Call(context.Background(), 1)
	// Output:
	// failed: dial tcp: connection refused
	// level=WARN msg="attempt failed, retrying" method=API.FetchData attempt=1 verdict=failed elapsed=0s reason="dial tcp: connection refused" wait=1s on_server=false
}

// A test of retry logic: in this process, on a clock that does not wait.
func Example_testing() {
	api := activity.Define[*API]("API", activity.Options{Retry: retrypolicy.Policy{NumRetries: 2}, CallTimeout: time.Hour})
	fetchData := activity.Method(api, "FetchData", (*API).FetchData, activity.MethodOptions[int, string]{
		RetryUntil: []validation.Validator[string]{func(string, retrypolicy.Attempt) error { return validation.ErrRefused }},
	})
	clock := testsuite.NewClock()
	_, err := fetchData.Inline(&API{}).WithClock(clock.Clock()).Call(context.Background(), 1)
	var rve *validation.RetryValidationError
	fmt.Println(validation.As(err, &rve), rve.Attempts, len(clock.Slept()))
	// Output: true 3 2
}

// The configuration in Go, and what of it stands in a file.
func Example_retryConfig() {
	policy := retrypolicy.Policy{
		NumRetries: 3,
		RetryOn:    []retrypolicy.Filter{retrypolicy.ErrorAs[*net.OpError](), retrypolicy.ErrorIs(context.DeadlineExceeded)},
		Backoff:    retrypolicy.Exponential,
		Wait:       time.Second,
		Jitter:     retrypolicy.FullJitter,
	}
	fmt.Println(policy.Check())

	var config retrypolicy.Config
	if err := json.Unmarshal([]byte(`{"num_retries": 3, "retry_algorithm": "exponential", "retry_wait": 1.0, "retry_jitter": 0.3}`), &config); err != nil {
		fmt.Println(err)
		return
	}
	fromFile, err := config.Policy()
	fmt.Println(fromFile.NumRetries, fromFile.Backoff, fromFile.Wait, fromFile.Jitter, err)
	// Output:
	// <nil>
	// 3 exponential 1s full <nil>
}

// The error's fields.
func Example_retryValidationErrorFields() {
	_, err := classify(retrypolicy.Policy{NumRetries: 1}, confident, 0.3, 0.5)
	var rve *validation.RetryValidationError
	if validation.As(err, &rve) {
		all, _ := validation.Results[Reply](rve)
		fmt.Println("attempts:", rve.Attempts)
		fmt.Println("all results:", all)
		fmt.Printf("validation errors: %q\n", rve.ValidationErrors)
		fmt.Println("method:", rve.MethodName)
		for _, o := range rve.Outcomes {
			fmt.Println("attempt", o.Number, "was", o.Verdict)
		}
	}
	// Output:
	// attempts: 2
	// all results: [{first 0.3 []} {second 0.5 []}]
	// validation errors: ["confidence 0.30, want 0.90" "confidence 0.50, want 0.90"]
	// method: Model.Ask
	// attempt 1 was refused
	// attempt 2 was refused
}

// The algorithms, as multiples of the base wait.
func Example_algorithms() {
	for _, a := range []retrypolicy.Algorithm{retrypolicy.Exponential, retrypolicy.Linear, retrypolicy.Fibonacci} {
		fmt.Print(a, ":")
		for n := 1; n <= 6; n++ {
			fmt.Print(" ", int64(a.Ceiling(1, n)))
		}
		fmt.Println()
	}
	// Output:
	// exponential: 1 2 4 8 16 32
	// linear: 1 2 3 4 5 6
	// fibonacci: 1 1 2 3 5 8
}
