package activityhost

import (
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/failure"
)

// panicked is a panic as it travels, with its stack where temporal.PanicError has
// it: the SDK has no other way to set that than to panic, which the server would
// retry.
func (r *requests) panicked(app *temporal.ApplicationError) (*failurepb.Failure, error) {
	var stack string
	if details := failure.DetailsOf(app); len(details) > 0 {
		stack, _ = details[0].(string)
	}
	bare := temporal.NewApplicationErrorWithOptions(app.Message(), app.Type(), temporal.ApplicationErrorOptions{
		NonRetryable: app.NonRetryable(), Cause: app.Unwrap(),
	})
	f, err := r.encodedFailure(bare)
	if err != nil {
		return nil, err
	}
	if f.GetEncodedAttributes() == nil {
		f.StackTrace = stack
		return f, nil
	}
	converter.DecodeCommonFailureAttributes(r.data, f)
	f.StackTrace = stack
	return f, converter.EncodeCommonFailureAttributes(r.data, f)
}
