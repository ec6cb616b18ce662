package attempt

import (
	"context"
	"errors"
	"slices"

	"go.temporal.io/sdk/temporal"
)

// canceled tells that ctx has ended for good: the server was asked to, or it
// is a local activity's, whose result nobody waits for any more.
func (e *execution) canceled(ctx context.Context) bool {
	return temporal.IsCanceledError(context.Cause(ctx)) || e.info.IsLocalActivity
}

// canceledWith is err as the end of a canceled call: never retried, never
// converted. For a local activity the SDK says what it was, unless it hears
// from us at the same moment: then it must be the same.
func (e *execution) canceledWith(ctx context.Context, err error) error {
	if e.info.IsLocalActivity && errors.Is(ctx.Err(), context.Canceled) {
		return temporal.NewCanceledError()
	}
	return err
}

// serverRetries tells whether the server will start another server attempt
// after cause; not so where the caller's retry policy forbids it.
func (e *execution) serverRetries(cause error) bool {
	p := e.info.RetryPolicy
	if p == nil {
		return true
	}
	return (p.MaximumAttempts <= 0 || e.info.Attempt < p.MaximumAttempts) && !slices.Contains(p.NonRetryableErrorTypes, TypeOf(cause))
}

// ending is how a call ends for which cause would have been a failure in
// between.
func (e *execution) ending(cause error) error {
	if _, ok := cause.(*refusedError); ok { //nolint:errorlint // never wrapped
		return final(e.spec.refusals(&e.heart.journal))
	}
	return final(cause)
}
