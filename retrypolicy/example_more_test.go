package retrypolicy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/concurry-go/concurry/retrypolicy"
)

// Patience for a service that is overloaded, two retries for everything else,
// and none where a retry cannot help.
func ExampleCase() {
	overloaded, noCredit := errors.New("overloaded"), errors.New("no credit")
	policy := retrypolicy.Policy{
		NumRetries: 2,
		Cases: []retrypolicy.Case{
			{On: retrypolicy.ErrorIs(overloaded), NumRetries: 10, Backoff: retrypolicy.Linear, Wait: 5 * time.Second},
			{On: retrypolicy.ErrorIs(noCredit)},
		},
	}
	for _, err := range []error{overloaded, noCredit, errors.New("connection reset")} {
		for i, c := range policy.Cases {
			if c.On(err, retrypolicy.Attempt{}) {
				fmt.Println(err, "- case", i)
			}
		}
	}
	fmt.Println("at most", policy.Attempts(), "attempts")
	// Output:
	// overloaded - case 0
	// no credit - case 1
	// at most 13 attempts
}

// One budget for all methods that use a service: once half of the recent
// attempts are retries, calls fail at once instead of making things worse.
func ExampleBudget() {
	budget := &retrypolicy.Budget{Share: 0.5, Floor: retrypolicy.NoFloor}
	policy := retrypolicy.Policy{NumRetries: 3, Budget: budget}
	fmt.Println(policy.Check())

	// The engine does this:
	now := time.Now()
	budget.NoteAttempt(now)
	budget.NoteAttempt(now)
	fmt.Println(budget.TryRetry(now), budget.TryRetry(now), budget.TryRetry(now))
	attempts, retries := budget.Recent(now)
	fmt.Println(retries, "of the last", attempts, "attempts were retries")
	// Output:
	// <nil>
	// true true false
	// 2 of the last 4 attempts were retries
}

// Wait as long as an HTTP response asks for.
func ExampleAfterHeader() {
	response := &http.Response{Status: "429 Too Many Requests", Header: http.Header{"Retry-After": {"30"}}}
	err := retrypolicy.AfterHeader(errors.New(response.Status), response.Header)
	delay, _ := retrypolicy.DelayOf(err)
	fmt.Println(err, "- next attempt in", delay)
	// Output: 429 Too Many Requests - next attempt in 30s
}

// Configuration for some of a worker's methods, over the policies that are
// declared in Go.
func ExampleConfigs() {
	var configs retrypolicy.Configs
	err := json.Unmarshal([]byte(`{
		"*":        {"num_retries": 3, "retry_on": "network"},
		"Generate": {"num_retries": 7}
	}`), &configs)
	if err != nil {
		fmt.Println(err)
		return
	}
	declared := retrypolicy.Policy{Backoff: retrypolicy.Fibonacci}
	filters := map[string]retrypolicy.Filter{"network": retrypolicy.ErrorAs[interface{ Timeout() bool }]()}
	for _, method := range []string{"Generate", "Ping"} {
		policy, err := configs.For(method).Over(declared, filters)
		fmt.Println(method, policy.NumRetries, policy.Backoff, len(policy.RetryOn), err)
	}
	// Output:
	// Generate 7 fibonacci 1 <nil>
	// Ping 3 fibonacci 1 <nil>
}

// The same from environment variables, which os.Environ returns.
func ExampleConfigFromEnv() {
	config, err := retrypolicy.ConfigFromEnv("LLM_POLICY_", []string{"LLM_POLICY_NUM_RETRIES=5", "LLM_POLICY_RETRY_WAIT=0.5"})
	fmt.Println(*config.NumRetries, *config.RetryWait, err)
	fmt.Println(config.Env("LLM_POLICY_"))
	_, err = retrypolicy.ConfigFromEnv("LLM_POLICY_", []string{"LLM_POLICY_RETRIES=5"})
	fmt.Println(err)
	// Output:
	// 5 0.5 <nil>
	// [LLM_POLICY_NUM_RETRIES=5 LLM_POLICY_RETRY_WAIT=0.5]
	// LLM_POLICY_RETRIES (not shown): no such variable; there are LLM_POLICY_NUM_RETRIES, LLM_POLICY_RETRY_ON, LLM_POLICY_RETRY_ALGORITHM, LLM_POLICY_RETRY_WAIT, LLM_POLICY_RETRY_MAX_WAIT, LLM_POLICY_RETRY_MAX_ELAPSED, LLM_POLICY_RETRY_JITTER, LLM_POLICY_RETRY_UNTIL
}

// A record for every attempt that was not accepted.
func ExampleLogTo() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	observer := retrypolicy.LogTo(logger) // for activity.Options.Observers, or worker.Observe

	// The engine does this:
	observer(context.Background(), retrypolicy.Event{
		Attempt: retrypolicy.Attempt{Number: 1, Method: "LLM.Generate"},
		Verdict: retrypolicy.VerdictFailed, Err: errors.New("connection reset"),
		Decision: retrypolicy.DecisionRetry, Wait: 250 * time.Millisecond,
	})
	// Output: level=WARN msg="attempt failed, retrying" method=LLM.Generate attempt=1 verdict=failed elapsed=0s reason="connection reset" wait=250ms on_server=false
}

func ExampleFastFail() {
	policy := retrypolicy.FastFail()
	fmt.Println(policy.Attempts(), "attempts, at most", policy.Ceiling(1), "apart")
	// Output: 2 attempts, at most 100ms apart
}

func ExampleAggressive() {
	policy := retrypolicy.Aggressive()
	policy.MaxWait = time.Minute
	fmt.Println(policy.Attempts(), "attempts, at most", policy.Ceiling(10), "apart")
	// Output: 11 attempts, at most 1m0s apart
}
