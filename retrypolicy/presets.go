package retrypolicy

import "time"

// FastFail returns a policy for work that may fail: one retry, after at most 100 ms.
func FastFail() Policy {
	return Policy{NumRetries: 1, Backoff: Linear, Wait: 100 * time.Millisecond}
}

// Aggressive returns a policy for work that must succeed: ten retries, with waits
// of up to 1, 2, 4, … 512 seconds, which is up to 17 minutes in all. Add a
// MaxWait where that is too patient.
func Aggressive() Policy {
	return Policy{NumRetries: 10, Backoff: Exponential, Wait: time.Second}
}
