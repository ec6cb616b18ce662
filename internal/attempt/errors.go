package attempt

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

const (
	// LostType is the application error type of a LostError.
	LostType = retrypolicy.LostType
	// LimitType is the application error type of a call that has waited for
	// limits in vain, and of intermediate failures of one that waits.
	LimitType = "LimitWait"
	// RefusedType is the type of intermediate failures after a refused result.
	RefusedType = "ResultRefused"
	// panicType is what the SDK calls a panic; callers find *temporal.PanicError.
	panicType = "PanicError"
)

// FailureOfSDK is the type of failures that the SDK makes of arguments that
// cannot be decoded and of results that cannot be encoded. Callers that count
// on the engine name it as not retryable; the engine uses it for nothing.
const FailureOfSDK = "wrapError"

// FailureOfSize is the same for results beyond the server's limit.
const FailureOfSize = "payloadSizeError"

// LostError ends a call that makes no other attempt while the last one left no
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
	fmt.Fprintf(&b, "%s: given up after %d attempt(s)", e.Method, e.Attempts)
	if len(e.Lost) > 0 {
		fmt.Fprintf(&b, "; without outcome, since their worker was shut down, killed or cut off: attempt %s",
			strings.ReplaceAll(strings.Trim(fmt.Sprint(e.Lost), "[]"), " ", ", "))
	}
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
	if _, ok := err.(*limitError); ok { //nolint:errorlint // the engine's own, outermost
		return LimitType
	}
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return app.Type()
	}
	for {
		if _, ok := err.(*PanicError); ok { //nolint:errorlint // the chain is walked here
			return panicType
		}
		t := reflect.TypeOf(err)
		if t == textType {
			return "" // as the SDK has it
		}
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		inner := errors.Unwrap(err)
		if inner == nil || !isWrapper(t) {
			return t.Name()
		}
		err = inner
	}
}

// textType is what errors.New makes.
var textType = reflect.TypeOf(errors.New(""))

// wireType is TypeOf as the server takes it.
func wireType(err error) string { return wire.Cut(TypeOf(err), wire.MaxReason) }

// handBackType is wireType, unless callers name that as a failure of the SDK's
// own, which the server would not retry.
func handBackType(err error) string {
	t := wireType(err)
	if t == FailureOfSDK || t == FailureOfSize {
		return "concurry." + t
	}
	return t
}

// isWrapper tells types that only add text: fmt's, and our own marks.
func isWrapper(t reflect.Type) bool {
	pkg := t.PkgPath()
	return pkg == "fmt" || pkg == "github.com/concurry-go/concurry/retrypolicy"
}

// final is err as the call's end: never retried by the server, with its type,
// message, details and cause, and such that the server takes it.
func final(err error) (answer error) {
	defer func() {
		if r := recover(); r != nil { // something in the chain that cannot be read
			text, _ := textOf(err)
			answer = temporal.NewApplicationErrorWithOptions(wire.Cut(text, maxMessage), "", temporal.ApplicationErrorOptions{NonRetryable: true})
		}
	}()
	err = retrypolicy.Unmark(err)
	stopped, _ := err.(*retrypolicy.StopError) //nolint:errorlint // the engine's own, outermost
	if rve, ok := errors.AsType[*validation.RetryValidationError](err); ok {
		if error(rve) != err { //nolint:errorlint // another call's, and its Stopped too
			own := *rve
			own.Stopped = nil
			if stopped != nil {
				own.Stopped = &retrypolicy.StopError{Stop: stopped.Stop, Detail: stopped.Detail}
			}
			rve = &own
		}
		return deliverable(rve.ToTemporal(err.Error()))
	}
	o := temporal.ApplicationErrorOptions{NonRetryable: true}
	if lost, ok := errors.AsType[*LostError](err); ok {
		if stopped != nil {
			o.Cause = stopped.ToTemporal(nil)
		}
		return deliverable(temporal.NewApplicationErrorWithOptions(lost.Error(), LostType, o))
	}
	return deliverable(asApplication(err, o))
}

// handBack is err as an intermediate failure: the server retries it after
// delay, and it is noise to nobody. It stays small, since servers cut what
// they keep between retries.
func handBack(err error, delay time.Duration) error {
	err = retrypolicy.Unmark(err)
	o := temporal.ApplicationErrorOptions{
		NextRetryDelay: max(delay, 1), // zero would mean "unset"
		Category:       temporal.ApplicationErrorCategoryBenign,
	}
	if stopped, ok := err.(*retrypolicy.StopError); ok { //nolint:errorlint // the engine's own, outermost
		err, o.Cause = stopped.Err, stopped.ToTemporal(nil)
	}
	return temporal.NewApplicationErrorWithOptions(wire.Cut(err.Error(), wire.MaxReason), handBackType(err), o)
}
