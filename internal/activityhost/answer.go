package activityhost

import (
	"context"
	"errors"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/marks"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// Answer is err, which a method returned to an activity that no engine governs,
// such that the server takes it and the caller finds in it what he would find in
// that of a governed one. Whether it is retried is its own and the caller's
// business.
func Answer(ctx context.Context, err error) (answer error) {
	if err == activity.ErrResultPending { //nolint:errorlint // the SDK compares it like this
		return err
	}
	if e, _ := ctx.Value(engine.DriverKey{}).(*execution); e != nil {
		return err // the engine judges it
	}
	if ctx.Err() != nil && isContextError(err) {
		return err // the SDK knows what that means
	}
	defer func() {
		if recover() != nil { // something in the chain that cannot be read
			answer = failure.Final(err, nil)
		}
	}()
	_, err = failure.TextOf(err)
	o := temporal.ApplicationErrorOptions{NonRetryable: retrypolicy.IsPermanent(err)}
	if delay, ok := retrypolicy.DelayOf(err); ok {
		o.NextRetryDelay = max(delay, 1)
	}
	err = marks.Unmark(err)
	if rve, ok := errors.AsType[*validation.RetryValidationError](err); ok {
		return failure.Deliverable(failure.Refusal(err, rve, nil))
	}
	return failure.Deliverable(failure.AsApplication(err, o))
}
