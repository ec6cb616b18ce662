package retrypolicy

import (
	"time"

	"go.temporal.io/sdk/temporal"
)

// engineMargin is what a server attempt may take beyond its bodies and waits.
const engineMargin = 5 * time.Second

// Temporal is the nearest a Temporal retry policy comes, for activities run
// where no engine runs: exactly Attempts() attempts, the same first wait and
// cap, no jitter, no filters. Linear and Fibonacci become curves of
// coefficient 1.5 and 1.6.
func (p *Policy) Temporal() *temporal.RetryPolicy {
	first := max(p.Ceiling(1), time.Millisecond)
	policy := &temporal.RetryPolicy{
		InitialInterval:    first,
		BackoffCoefficient: 2,
		MaximumInterval:    max(first, p.LongestCeiling()),
		MaximumAttempts:    int32(p.Attempts()), // at most MostRetries+1
	}
	switch p.Backoff {
	case Linear:
		policy.BackoffCoefficient = 1.5
	case Fibonacci:
		policy.BackoffCoefficient = 1.6
	case Constant:
		policy.BackoffCoefficient = 1
	}
	return policy
}

// Backstop is for the engine: the retry policy of an activity whose attempts it
// counts, which is Temporal's but with 2·Attempts()+10 server attempts. The
// server counts shutdowns and hand-backs too, so its own count must never be
// the one that ends a call.
func (p *Policy) Backstop() *temporal.RetryPolicy {
	policy := p.Temporal()
	policy.MaximumAttempts = int32(2*p.Attempts() + 10) // at most 2·MostRetries+12
	return policy
}

// StartToClose is for the engine: the timeout of one server attempt, which is two
// attempts of the body, one wait in place and five seconds. It does not depend on
// NumRetries, so that Temporal notices a stuck worker as soon as before. Without
// a timeout of the attempt it is the call's.
func (p *Policy) StartToClose(attemptTimeout, callTimeout time.Duration) time.Duration {
	if attemptTimeout <= 0 {
		return callTimeout
	}
	timeout := 2*attemptTimeout + p.InPlaceWait() + engineMargin
	if callTimeout > 0 {
		timeout = min(timeout, callTimeout)
	}
	return timeout
}
