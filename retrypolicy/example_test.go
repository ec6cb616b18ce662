package retrypolicy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/retrypolicy"
)

// Five retries of network errors, waits growing 1, 1, 2, 3, 5 seconds.
func ExamplePolicy() {
	policy := retrypolicy.Policy{
		NumRetries: 5,
		Backoff:    retrypolicy.Fibonacci,
		Jitter:     retrypolicy.NoJitter,
		RetryOn:    []retrypolicy.Filter{retrypolicy.ErrorAs[*net.OpError]()},
	}
	for n := range policy.NumRetries {
		fmt.Println("after attempt", n+1, "wait", policy.Ceiling(n+1))
	}
	// Output:
	// after attempt 1 wait 1s
	// after attempt 2 wait 1s
	// after attempt 3 wait 2s
	// after attempt 4 wait 3s
	// after attempt 5 wait 5s
}

// Check reports all mistakes at once, each with its field, its value and what
// is allowed.
func ExamplePolicy_Check() {
	policy := retrypolicy.Policy{NumRetries: -1, Backoff: retrypolicy.Algorithm("cubic")}
	fmt.Println(policy.Check())
	// Output:
	// NumRetries -1: must be from 0 (no retries) to 1000000
	// Backoff "cubic": must be "exponential", "linear", "fibonacci" or "constant"
}

// A curve of your own, capped by MaxWait.
func ExampleBackoffFunc() {
	policy := retrypolicy.Policy{
		Wait:    time.Second,
		MaxWait: 20 * time.Second,
		Backoff: retrypolicy.BackoffFunc(func(wait time.Duration, n int) time.Duration {
			return wait * time.Duration(n*n)
		}),
	}
	fmt.Println(policy.Ceiling(1), policy.Ceiling(2), policy.Ceiling(3), policy.Ceiling(4), policy.Ceiling(5))
	// Output: 1s 4s 9s 16s 20s
}

// A policy in a configuration file.
func ExampleConfig() {
	var config retrypolicy.Config
	err := json.Unmarshal([]byte(`{"num_retries": 3, "retry_algorithm": "linear", "retry_wait": 2, "retry_jitter": 0}`), &config)
	if err != nil {
		fmt.Println(err)
		return
	}
	policy, err := config.Policy()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(policy.NumRetries, policy.Backoff, policy.Wait, policy.Jitter)
	// Output: 3 linear 2s none
}

// A mistake in a configuration file names its key.
func ExampleConfig_Policy() {
	wait := 0.0
	_, err := retrypolicy.Config{RetryWait: &wait}.Policy()
	fmt.Println(err)
	// Output: retry_wait 0: must be seconds above 0 and at most 31536000
}

func ExampleErrorIs() {
	filter := retrypolicy.ErrorIs(io.ErrUnexpectedEOF)
	fmt.Println(filter(fmt.Errorf("reading the reply: %w", io.ErrUnexpectedEOF), retrypolicy.Attempt{}))
	fmt.Println(filter(errors.New("no such model"), retrypolicy.Attempt{}))
	// Output:
	// true
	// false
}

func ExampleErrorAs() {
	filter := retrypolicy.ErrorAs[*net.OpError]()
	fmt.Println(filter(&net.OpError{Op: "dial", Err: errors.New("refused")}, retrypolicy.Attempt{}))
	// Output: true
}

func ExampleErrorType() {
	filter := retrypolicy.ErrorType("RateLimited", "Overloaded")
	fmt.Println(filter(temporal.NewApplicationError("come back later", "RateLimited"), retrypolicy.Attempt{}))
	// Output: true
}

// Give a call up once it has taken half a minute.
func ExampleIf() {
	filter := retrypolicy.If(func(_ error, a retrypolicy.Attempt) bool { return a.Elapsed() < 30*time.Second })
	fmt.Println(filter(io.EOF, retrypolicy.Attempt{Number: 2, Past: fakeCall{elapsed: 12 * time.Second}}))
	fmt.Println(filter(io.EOF, retrypolicy.Attempt{Number: 3, Past: fakeCall{elapsed: 31 * time.Second}}))
	// Output:
	// true
	// false
}

// Retry everything but a mistake of the caller's.
func ExampleNot() {
	filter := retrypolicy.Not(retrypolicy.ErrorType("BadRequest"))
	fmt.Println(filter(temporal.NewApplicationError("no prompt", "BadRequest"), retrypolicy.Attempt{}))
	fmt.Println(filter(io.EOF, retrypolicy.Attempt{}))
	// Output:
	// false
	// true
}

// End a call at once: another attempt would fail in the same way.
func ExamplePermanent() {
	err := retrypolicy.Permanent(errors.New("no such account"))
	fmt.Println(err, "- permanent:", retrypolicy.IsPermanent(err))
	// Output: no such account - permanent: true
}

// Wait as long as a server asks for, such as in an HTTP Retry-After header.
func ExampleAfter() {
	err := retrypolicy.After(errors.New("429 Too Many Requests"), 3*time.Second)
	delay, _ := retrypolicy.DelayOf(err)
	fmt.Println(err, "- next attempt in", delay)
	// Output: 429 Too Many Requests - next attempt in 3s
}

// How far each jitter spreads a wait of ten seconds.
func ExampleJitter() {
	lowest, highest := func(int64) int64 { return 0 }, func(n int64) int64 { return n - 1 }
	for _, jitter := range []retrypolicy.Jitter{
		retrypolicy.FullJitter, retrypolicy.NoJitter, retrypolicy.EqualJitter, retrypolicy.Proportional(0.25),
	} {
		policy := retrypolicy.Policy{Wait: 10 * time.Second, Jitter: jitter}
		fmt.Println(jitter, policy.Delay(1, lowest).Round(time.Second), policy.Delay(1, highest))
	}
	// Output:
	// full 0s 10s
	// none 10s 10s
	// equal 5s 10s
	// proportional(0.25) 8s 12.5s
}

// Filters can look at the arguments of the call.
func ExampleArg() {
	a := retrypolicy.Attempt{Past: fakeCall{args: []any{"premium", 42}}}
	tier, _ := retrypolicy.Arg[string](a, 0)
	fmt.Println(tier)
	// Output: premium
}
