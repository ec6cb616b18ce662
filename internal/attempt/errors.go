package attempt

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

const (
	// LostType is the application error type of a LostError.
	LostType = "AttemptLost"
	// RefusedType is the type of intermediate failures after a refused result.
	RefusedType = "ResultRefused"
	// panicType is what the SDK calls a panic; callers find *temporal.PanicError.
	panicType = "PanicError"

	// maxFailure bounds a failure on the wire. The server replaces failures
	// above 2 MiB, details lost, and drops those above gRPC's 4 MiB.
	maxFailure = 1 << 20
	// maxMessage is what a message is cut to where a failure is too large.
	maxMessage = 16 << 10
)

// LostError ends a call whose budget is spent while the last attempt left no
// outcome.
type LostError struct {
	Method   string
	Attempts int
	// Lost are the attempts that left no outcome.
	Lost []int
	// Last is the last known failure, nil if there is none.
	Last *retrypolicy.Outcome
}

func (e *LostError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: no retry left after %d attempt(s); without outcome, since their worker was shut down, killed or cut off: attempt %s",
		e.Method, e.Attempts, strings.ReplaceAll(strings.Trim(fmt.Sprint(e.Lost), "[]"), " ", ", "))
	if e.Last != nil {
		fmt.Fprintf(&b, "; last known error, attempt %d: %s", e.Last.Attempt, e.Last.Reason)
	}
	return b.String()
}

// TypeOf is the application error type err travels under: that of the first
// Temporal application error in its chain, else the name of the first Go type
// that is more than a wrapper.
func TypeOf(err error) string {
	if _, ok := err.(*refusedError); ok { //nolint:errorlint // never wrapped
		return RefusedType
	}
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return app.Type()
	}
	for {
		t := reflect.TypeOf(err)
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch t.PkgPath() + "." + t.Name() {
		case "errors.errorString":
			return "" // as the SDK has it
		case "github.com/concurry-go/concurry/internal/attempt.PanicError":
			return panicType
		}
		inner := errors.Unwrap(err)
		if inner == nil || !isWrapper(t) {
			return t.Name()
		}
		err = inner
	}
}

// isWrapper tells types that only add text: fmt's, and our own marks.
func isWrapper(t reflect.Type) bool {
	pkg := t.PkgPath()
	return pkg == "fmt" || pkg == "github.com/concurry-go/concurry/retrypolicy"
}

// final is err as the call's end: never retried by the server, with its type,
// message, details and cause, and such that the server takes it.
func final(err error) error {
	var rve *validation.RetryValidationError
	var lost *LostError
	switch {
	case errors.As(err, &rve):
		return deliverable(rve.ToTemporal())
	case errors.As(err, &lost):
		return deliverable(temporal.NewApplicationErrorWithOptions(lost.Error(), LostType, temporal.ApplicationErrorOptions{NonRetryable: true}))
	}
	return deliverable(asApplication(err, temporal.ApplicationErrorOptions{NonRetryable: true}))
}

// handBack is err as an intermediate failure: the server retries it after
// delay, and it is noise to nobody. It stays small, since servers cut what
// they keep between retries.
func handBack(err error, delay time.Duration) error {
	return temporal.NewApplicationErrorWithOptions(wire.Cut(retrypolicy.Unmark(err).Error(), wire.MaxReason), TypeOf(err),
		temporal.ApplicationErrorOptions{
			NextRetryDelay: max(delay, 1), // zero would mean "unset"
			Category:       temporal.ApplicationErrorCategoryBenign,
		})
}

// asApplication keeps what callers look at. Errors whose top level is no
// application failure would be dropped by the server, silently.
func asApplication(err error, o temporal.ApplicationErrorOptions) error {
	err = retrypolicy.Unmark(err)
	var app *temporal.ApplicationError
	var p *PanicError
	switch {
	case errors.As(err, &p):
		o.Details = []any{string(p.Stack)}
		return temporal.NewApplicationErrorWithOptions(p.Error(), panicType, o)
	case errors.As(err, &app):
		o.Details = detailsOf(app)
		o.Category = app.Category()
		if error(app) == err { //nolint:errorlint // whether it is the outermost
			o.Cause = app.Unwrap()
			return temporal.NewApplicationErrorWithOptions(app.Message(), app.Type(), o)
		}
	}
	o.Cause = errors.Unwrap(err)
	return temporal.NewApplicationErrorWithOptions(err.Error(), TypeOf(err), o)
}

// detailsOf returns an application error's details, still encoded if they
// came over the wire.
func detailsOf(app *temporal.ApplicationError) []any {
	if !app.HasDetails() {
		return nil
	}
	const most = 32
	raw, pointers := make([]converter.RawValue, most), make([]any, most)
	for i := range raw {
		pointers[i] = &raw[i]
	}
	var details []any
	if getDetails(app, pointers) == nil {
		for _, r := range raw {
			if r.Payload() != nil {
				details = append(details, r)
			}
		}
		return details
	}
	// Not encoded yet. The SDK tells how many there are by refusing more.
	for n := 1; n <= most; n++ {
		values := make([]any, n)
		for i := range values {
			pointers[i] = &values[i]
		}
		if getDetails(app, pointers[:n]) != nil {
			break
		}
		details = values
	}
	return details
}

// getDetails survives the SDK's panic on types that do not fit.
func getDetails(app *temporal.ApplicationError, pointers []any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return app.Details(pointers...)
}

// deliverable returns err if the server will take it, else the same in a form
// that it takes: an error detail that cannot be encoded would panic inside
// the SDK after the activity, and the response would never be sent.
func deliverable(err error) error {
	var app *temporal.ApplicationError
	if !errors.As(err, &app) {
		return err
	}
	size, problem := failureSize(err)
	if problem == nil && size <= maxFailure {
		return err
	}
	o := temporal.ApplicationErrorOptions{NonRetryable: app.NonRetryable(), Category: app.Category(), NextRetryDelay: app.NextRetryDelay()}
	for _, d := range detailsOf(app) {
		if problem != nil {
			o.Details = append(o.Details, wire.Cut(fmt.Sprintf("%+v", d), wire.MaxReason))
		}
	}
	if cause := app.Unwrap(); cause != nil {
		o.Cause = temporal.NewApplicationError(wire.Cut(cause.Error(), maxMessage), TypeOf(cause))
	}
	return temporal.NewApplicationErrorWithOptions(wire.Cut(app.Message(), maxMessage), wire.Cut(app.Type(), wire.MaxReason), o)
}

// failureSize tries what the SDK will do with err.
func failureSize(err error) (size int, problem error) {
	defer func() {
		if r := recover(); r != nil {
			problem = fmt.Errorf("%v", r)
		}
	}()
	failure := temporal.GetDefaultFailureConverter().ErrorToFailure(err)
	data, problem := failure.Marshal() // fails for invalid UTF-8, as gRPC would
	return len(data), problem
}
