package retrypolicy

import "time"

// Case is what a policy does with errors of one kind: its own retries, backoff
// and waits, for a service that asks for patience when it is overloaded and is
// not worth more than two tries when it is down.
//
//	retrypolicy.Policy{
//		NumRetries: 2, // of everything else
//		Cases: []retrypolicy.Case{
//			{On: retrypolicy.ErrorIs(ErrOverloaded), NumRetries: 10, Backoff: retrypolicy.Linear, Wait: 5 * time.Second},
//			{On: retrypolicy.ErrorIs(ErrNoCredit)}, // never
//		},
//	}
//
// The zero values of its fields mean what they mean in Policy.
type Case struct {
	// On decides whether an error is of this case. It is asked on the worker,
	// as the filters in Policy.RetryOn are, and one that panics has said no.
	On Filter

	// NumRetries is how many retries a call makes after errors of this case,
	// beside those that Policy.NumRetries allows after all others. Zero means
	// none: the first such error ends the call.
	NumRetries int

	// Backoff is how the wait grows; nil means Exponential. It counts the
	// errors of this case: the first one waits the backoff's first wait,
	// however many others came before.
	Backoff Backoff

	// Wait is the base wait. Zero means DefaultWait; NoWait means none.
	Wait time.Duration

	// MaxWait caps every computed wait. Zero means MaxDuration.
	MaxWait time.Duration

	// Jitter spreads the waits. The zero value is FullJitter.
	Jitter Jitter
}

// curve is the case as a policy of its own.
func (c *Case) curve() *Policy {
	return &Policy{NumRetries: c.NumRetries, Backoff: c.Backoff, Wait: c.Wait, MaxWait: c.MaxWait, Jitter: c.Jitter}
}

// check returns every mistake in the case, its fields named after prefix.
func (c *Case) check(prefix string) (errs []error) {
	if c.On == nil {
		errs = append(errs, &FieldError{Field: prefix + "On", Value: "nil", Allowed: filterAllowed})
	}
	return append(errs, c.curve().checkCurve(prefix)...)
}
