// Package retrypolicy says what is retried and how long to wait: plain values
// and pure functions, without I/O, clock or goroutine.
//
// A [Policy] is a struct whose zero value means the defaults: no retries,
// exponential backoff from one second, full jitter, every error retried. Hand
// it to activity.Define, or read it from configuration with [Config].
//
//	policy := retrypolicy.Policy{
//		NumRetries: 5,
//		Backoff:    retrypolicy.Fibonacci,
//		MaxWait:    30 * time.Second,
//		RetryOn: []retrypolicy.Filter{
//			retrypolicy.ErrorAs[*net.OpError](),
//			retrypolicy.ErrorIs(io.ErrUnexpectedEOF),
//		},
//	}
//
// Inside a method, [Permanent] ends a call at once and [After] asks for an
// exact delay, such as the one of an HTTP Retry-After header.
package retrypolicy
