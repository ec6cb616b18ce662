// Package retrypolicy says what is retried and how long to wait. It holds plain
// values and functions, starts no goroutine, and imports nothing of Temporal's.
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
// exact delay, such as the one of an HTTP Retry-After header. [StopOf] returns why a
// call ended, on both sides of the wire.
//
// Nothing here panics, and constructors return no errors: one that is given nothing
// to work with, such as [ErrorIs] without a target, returns nil, or a value that is
// out of range, and [Policy.Check] refuses that and names the field. activity.Define
// and activity.Method, which are for package variables, panic with that error;
// activity.NewDefinition and activity.NewMethod return it.
package retrypolicy
