package failure

import (
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/marks"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
)

const (
	// maxFailure bounds a failure on the wire. The server replaces failures
	// above 2 MiB, details lost, and drops those above gRPC's 4 MiB.
	maxFailure = 1 << 20
	// maxMessage and maxDetail are what is left of messages and details where
	// a failure is too large, or cannot be encoded.
	maxMessage, maxDetail = 16 << 10, 64 << 10
	// mostDetails bounds how many details are looked for.
	mostDetails = 128
)

// AsApplication keeps what callers look at. Errors whose top level is no
// application failure would be dropped by the server, silently.
func AsApplication(err error, o temporal.ApplicationErrorOptions) error {
	return explained(err, o, func(message string) string { return message })
}

// asStopped is the last attempt's error as the call's end: with its type,
// details and causes, its message first and then why it is the end. more are
// details of that.
func asStopped(stopped *retrypolicy.StopError, o temporal.ApplicationErrorOptions, more []any) error {
	err := stopped.Err
	if wireType(err) != PanicType { // which the SDK would strip of its causes
		o.Cause = OfStop(stopped, errors.Unwrap(err), more...)
	}
	return explained(err, o, func(message string) string { return Explain(stopped, message) })
}

func explained(err error, o temporal.ApplicationErrorOptions, explain func(message string) string) error {
	if o.Cause == nil {
		o.Cause = errors.Unwrap(err)
	}
	message := err.Error()
	if p, ok := errors.AsType[*PanicError](err); ok {
		o.Details = []any{string(p.Stack)}
	} else if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		o.Details, o.Category = DetailsOf(app), app.Category()
		if error(app) == err { //nolint:errorlint // whether it is the outermost
			message = app.Message()
		}
	}
	return temporal.NewApplicationErrorWithOptions(explain(clean(message)), wireType(err), o)
}

// clean makes a text one that protobuf takes.
func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// DetailsOf returns an application error's details, still encoded if they
// came over the wire.
func DetailsOf(app *temporal.ApplicationError) []any {
	if !app.HasDetails() {
		return nil
	}
	raw, pointers := make([]converter.RawValue, mostDetails), make([]any, mostDetails)
	for i := range raw {
		pointers[i] = &raw[i]
	}
	var details []any
	if err, _ := getDetails(app, pointers); err == nil {
		for _, r := range raw {
			if r.Payload() != nil {
				details = append(details, r)
			}
		}
		return details
	}
	// Not encoded yet. The SDK tells how many there are by refusing more.
	for n := 1; n <= mostDetails; n++ {
		values := make([]any, n)
		for i := range values {
			pointers[i] = &values[i]
		}
		err, panicked := getDetails(app, pointers[:n])
		if panicked { // it cannot hand out a nil
			return encodedDetails(app, details)
		}
		if err != nil {
			break
		}
		details = values
	}
	return details
}

// encodedDetails are app's details as the SDK would send them, or else those
// found so far.
func encodedDetails(app *temporal.ApplicationError, found []any) (details []any) {
	defer func() {
		if recover() != nil {
			details = found
		}
	}()
	encoded := temporal.GetDefaultFailureConverter().ErrorToFailure(app)
	for _, p := range encoded.GetApplicationFailureInfo().GetDetails().GetPayloads() {
		details = append(details, converter.NewRawValue(p))
	}
	return details
}

// getDetails survives the SDK's panic on types that do not fit.
func getDetails(app *temporal.ApplicationError, pointers []any) (err error, panicked bool) {
	defer func() {
		if r := recover(); r != nil {
			err, panicked = fmt.Errorf("%v", r), true
		}
	}()
	return app.Details(pointers...), false
}

// Deliverable returns err if the server will take it, else the same with less:
// first without the structure of its causes, then with only those details that
// can be encoded and are not too large. An error detail that cannot be encoded
// would panic inside the SDK after the activity, and the response would never
// be sent.
func Deliverable(err error) error {
	app, ok := errors.AsType[*temporal.ApplicationError](err)
	if !ok || fits(err) {
		return err
	}
	o := temporal.ApplicationErrorOptions{
		NonRetryable: app.NonRetryable(), Category: app.Category(), NextRetryDelay: app.NextRetryDelay(),
		Details: DetailsOf(app),
	}
	cause, stopped := app.Unwrap(), (*retrypolicy.StopError)(nil)
	if app.Type() != marks.StopType {
		if stop, ok := retrypolicy.StopOf(app); ok {
			stopped, cause = &stop, errors.Unwrap(cause)
		}
	}
	if cause != nil {
		text, cause := TextOf(cause)
		o.Cause = temporal.NewApplicationError(wire.Cut(text, maxMessage), wireType(cause))
	}
	if stopped != nil {
		o.Cause = OfStop(stopped, o.Cause)
	}
	message, errType := cutMessage(app.Message(), stopped), wireType(app)
	if less := temporal.NewApplicationErrorWithOptions(message, errType, o); fits(less) {
		return less
	}
	for i, d := range o.Details {
		o.Details[i] = wire.Describe(d, maxDetail)
	}
	less := temporal.NewApplicationErrorWithOptions(message, errType, o)
	if !fits(less) { // many large details
		o.Details = nil
		less = temporal.NewApplicationErrorWithOptions(message, errType, o)
	}
	return less
}

// cutMessage cuts what is the method's own of a message.
func cutMessage(message string, stopped *retrypolicy.StopError) string {
	if stopped == nil {
		return wire.Cut(message, maxMessage)
	}
	return Explain(stopped, wire.Cut(strings.TrimSuffix(message, Explain(stopped, "")), maxMessage))
}

// fits tries what the SDK and the server will do with err.
func fits(err error) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	data, problem := temporal.GetDefaultFailureConverter().ErrorToFailure(err).Marshal()
	return problem == nil && len(data) <= maxFailure // invalid UTF-8 is a problem, as it is to gRPC
}
