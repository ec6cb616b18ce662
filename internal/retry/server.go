package retry

import (
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/retrypolicy"
)

// margin is what a server attempt may take beyond its bodies and waits.
const margin = 5 * time.Second

// Temporal returns the Temporal retry policy that is nearest to p, for activities
// run where no engine runs: exactly p.Attempts() attempts, the same first wait and
// cap, no jitter, no filters. Linear and Fibonacci become curves of coefficient 1.5
// and 1.6.
func Temporal(p *retrypolicy.Policy) *temporal.RetryPolicy {
	first := max(p.Ceiling(1), time.Millisecond)
	policy := &temporal.RetryPolicy{
		InitialInterval:    first,
		BackoffCoefficient: 2,
		MaximumInterval:    max(first, LongestCeiling(p)),
		MaximumAttempts:    int32(p.Attempts()), // at most MaxRetries+1
	}
	switch p.Backoff {
	case retrypolicy.Linear:
		policy.BackoffCoefficient = 1.5
	case retrypolicy.Fibonacci:
		policy.BackoffCoefficient = 1.6
	case retrypolicy.Constant:
		policy.BackoffCoefficient = 1
	}
	return policy
}

// Backstop returns the retry policy of an activity whose attempts the engine
// counts: that of Temporal, but with 2·Attempts()+10 server attempts. The server
// counts shutdowns and hand-backs too, so its own count must never be the one that
// ends a call.
func Backstop(p *retrypolicy.Policy) *temporal.RetryPolicy {
	policy := Temporal(p)
	policy.MaximumAttempts = int32(2*p.Attempts() + 10) // at most 2·MaxRetries+12
	return policy
}

// StartToClose returns the timeout of one server attempt: two attempts of the
// body, one wait in place and five seconds. It does not depend on NumRetries, so
// that Temporal notices a stuck worker as soon as without retries. Without a timeout
// of the attempt it is the call's.
func StartToClose(p *retrypolicy.Policy, attemptTimeout, callTimeout time.Duration) time.Duration {
	if attemptTimeout <= 0 {
		return callTimeout
	}
	timeout := 2*attemptTimeout + InPlaceWait(p) + margin
	if callTimeout > 0 {
		timeout = min(timeout, callTimeout)
	}
	return timeout
}

// InPlaceWait returns p.InPlace with its default applied; 0 when every wait is the
// server's.
func InPlaceWait(p *retrypolicy.Policy) time.Duration {
	switch {
	case p.InPlace == 0:
		return retrypolicy.DefaultInPlace
	case p.InPlace < 0:
		return 0
	default:
		return min(p.InPlace, retrypolicy.MaxDuration)
	}
}
