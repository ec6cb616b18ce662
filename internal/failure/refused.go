package failure

import (
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/marks"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// Refused returns the error of a call of method whose last known outcome was
// refused; outcomes are its attempts in order, leftOut those missing before them.
func Refused(method string, attempts int, outcomes []retrypolicy.Outcome, leftOut int) *validation.RetryValidationError {
	return &validation.RetryValidationError{
		MethodName: method, Attempts: attempts, Outcomes: outcomes, LeftOut: leftOut,
		ValidationErrors: wire.RefusedReasons(outcomes),
	}
}

// OfRefused returns e as it travels: a non-retryable application error with the
// message of an error around it. Results must already be encoded; those that only
// the user's own converter can decode are details of their own, behind the document.
func OfRefused(e *validation.RetryValidationError, message string) error {
	d := wire.RefusedCall{Method: e.MethodName, Attempts: e.Attempts, LeftOut: e.LeftOut}
	details := []any{nil}
	for _, o := range e.Outcomes {
		w := wire.FromOutcome(o)
		if p := w.Result.Apart(); p != nil {
			w.Result = &wire.Result{Detail: len(details)}
			details = append(details, converter.NewRawValue(p))
		}
		d.Outcomes = append(d.Outcomes, w)
	}
	options := temporal.ApplicationErrorOptions{NonRetryable: true}
	if e.Stopped != nil {
		options.Cause = OfStop(e.Stopped, nil)
	}
	if p, err := wire.Seal(wire.Refusals, d); err == nil {
		details[0] = converter.NewRawValue(p)
		options.Details = details
	}
	return temporal.NewApplicationErrorWithOptions(wire.Cut(message, 4*wire.MaxReason), marks.RefusedType, options)
}
