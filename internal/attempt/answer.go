package attempt

import (
	"context"
	"errors"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

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
	if e, _ := ctx.Value(executionKey{}).(*execution); e != nil {
		return err // the engine judges it
	}
	if ctx.Err() != nil && isContextError(err) {
		return err // the SDK knows what that means
	}
	defer func() {
		if recover() != nil { // something in the chain that cannot be read
			answer = final(err, nil)
		}
	}()
	_, err = textOf(err)
	o := temporal.ApplicationErrorOptions{NonRetryable: retrypolicy.IsPermanent(err)}
	if delay, ok := retrypolicy.DelayOf(err); ok {
		o.NextRetryDelay = max(delay, 1)
	}
	err = marks.Unmark(err)
	if rve, ok := errors.AsType[*validation.RetryValidationError](err); ok {
		return deliverable(refusal(err, rve, nil))
	}
	return deliverable(asApplication(err, o))
}
