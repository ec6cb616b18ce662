package failure

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/chain"
	"github.com/concurry-go/concurry/internal/marks"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

const (
	// LostType is the application error type of a LostError.
	LostType = marks.LostType
	// LimitType is the application error type of a call that has waited for
	// limits in vain, and of intermediate failures of one that waits.
	LimitType = "LimitWait"
	// RefusedType is the type of intermediate failures after a refused result.
	RefusedType = "ResultRefused"
	// UnreadableType is the type of failures of a server attempt that could not
	// read its call's journal, or not record its first start.
	UnreadableType = "JournalUnreadable"
	// UnrecordedType is the type of intermediate failures with which the journal
	// could not be sent.
	UnrecordedType = "JournalUnrecorded"
	// PanicType is what the SDK calls a panic; callers find *temporal.PanicError.
	PanicType = "PanicError"
)

// FailureOfSDK is the type of failures that the SDK makes of arguments that
// cannot be decoded and of results that cannot be encoded, for a moment or for
// good: the server retries them. The engine uses it for nothing.
const FailureOfSDK = "wrapError"

// FailureOfSize is that of results beyond the server's limit. Callers that count
// on the engine name it as not retryable.
const FailureOfSize = "payloadSizeError"

// LostError ends a call that makes no other attempt while the last one left no
// outcome.
type LostError struct {
	Method string
	// Lost are the attempts that left no outcome, and Reason what is known of the
	// last of them.
	Lost   []int
	Reason string
	// Last is the last known failure, nil if there is none.
	Last *retrypolicy.Outcome
}

func (e *LostError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", e.Method)
	if len(e.Lost) == 0 {
		b.WriteString("no attempt left an outcome")
	} else {
		noun := "attempt"
		if len(e.Lost) > 1 {
			noun = "attempts"
		}
		fmt.Fprintf(&b, "%s %s %s", noun, strings.ReplaceAll(strings.Trim(fmt.Sprint(e.Lost), "[]"), " ", ", "), cmp.Or(e.Reason, LostReason))
	}
	if e.Last != nil {
		fmt.Fprintf(&b, "; last known error, attempt %d: %s", e.Last.Number, e.Last.Reason)
	}
	return b.String()
}

// TypeOf is the application error type err travels under: that of the first
// Temporal application error in its chain, else the name of the first Go type
// that is more than a wrapper.
func TypeOf(err error) string {
	switch e := err.(type) { //nolint:errorlint // the engine's own, outermost
	case *RefusedError:
		return RefusedType
	case *LimitError:
		return LimitType
	case *UnstartedError:
		return UnreadableType
	case *endlessError:
		return e.errType
	}
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return app.Type()
	}
	for range chain.Longest {
		inner := errors.Unwrap(err)
		if inner == nil || !isWrapper(err) {
			break
		}
		err = inner
	}
	return typeName(err)
}

// typeName is what Temporal's SDK calls an error's type.
func typeName(err error) string {
	t := reflect.TypeOf(err)
	switch {
	case t == reflect.TypeFor[*PanicError]():
		return PanicType
	case t == textType:
		return "" // as the SDK has it
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}

// textType is what errors.New makes.
var textType = reflect.TypeOf(errors.New(""))

// wireType is TypeOf as the server takes it.
func wireType(err error) string { return wire.Cut(TypeOf(err), wire.MaxReason) }

// HandBackType is wireType, unless callers name that as a failure of the SDK's
// own, which the server would not retry.
func HandBackType(err error) string {
	t := wireType(err)
	if t == FailureOfSDK || t == FailureOfSize {
		return "concurry." + t
	}
	return t
}

// isWrapper reports whether err's type only adds text: fmt's, and our own marks.
func isWrapper(err error) bool {
	switch err.(type) { //nolint:errorlint // this one
	case *TimeoutError:
		return true
	case *PanicError:
		return false
	}
	t := reflect.TypeOf(err)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() == "fmt" || t.PkgPath() == "github.com/concurry-go/concurry/retrypolicy" || t.PkgPath() == "github.com/concurry-go/concurry/internal/marks"
}

// Final is err as the call's end: never retried by the server, with its type,
// message, details and cause, and such that the server takes it. trail, where
// there is one, is what the attempts before have left.
func Final(err error, trail *commonpb.Payload) (answer error) {
	defer func() {
		if r := recover(); r != nil { // something in the chain that cannot be read
			text, _ := TextOf(err)
			answer = temporal.NewApplicationErrorWithOptions(wire.Cut(text, maxMessage), "", temporal.ApplicationErrorOptions{NonRetryable: true})
		}
	}()
	err = marks.Unmark(err)
	stopped, _ := err.(*retrypolicy.StopError) //nolint:errorlint // the engine's own, outermost
	if rve, ok := errors.AsType[*validation.RetryValidationError](err); ok {
		return Deliverable(Refusal(err, rve, stopped))
	}
	o := temporal.ApplicationErrorOptions{NonRetryable: true}
	if stopped == nil {
		return Deliverable(AsApplication(err, o))
	}
	var more []any
	if trail != nil {
		more = []any{converter.NewRawValue(trail)}
	}
	switch e := stopped.Err.(type) { //nolint:errorlint // the engine's own
	case *LostError:
		o.Cause = OfStop(stopped, nil, more...)
		return Deliverable(temporal.NewApplicationErrorWithOptions(Explain(stopped, e.Error()), LostType, o))
	case *LimitError: // its text says it all
		o.Cause = OfStop(stopped, nil, more...)
		return Deliverable(temporal.NewApplicationErrorWithOptions(e.Error(), LimitType, o))
	}
	return Deliverable(asStopped(stopped, o, more))
}

// Refusal is the end of a call whose last known outcome was refused, or whose
// method's own error is the end of another such call.
func Refusal(err error, rve *validation.RetryValidationError, stopped *retrypolicy.StopError) error {
	if error(rve) == err { //nolint:errorlint // this call's own
		return OfRefused(rve, err.Error())
	}
	own := *rve
	own.Stopped = nil
	message := err.Error()
	if stopped != nil {
		own.Stopped = &retrypolicy.StopError{Stop: stopped.Stop, Attempts: stopped.Attempts, Detail: stopped.Detail}
		message = Explain(stopped, stopped.Err.Error())
	}
	return OfRefused(&own, message)
}

// HandBack is err as an intermediate failure: the server retries it after
// delay, and it is noise to nobody. It stays small, since servers cut what
// they keep between retries.
func HandBack(err error, delay time.Duration) error { return HandBackWith(err, nil, delay) }

// HandBackWith is HandBack of a call that ends with the failure, and with why,
// should the server find that there is no time to go on.
func HandBackWith(err error, why *retrypolicy.StopError, delay time.Duration) error {
	err = marks.Unmark(err)
	o := temporal.ApplicationErrorOptions{
		NextRetryDelay: max(delay, 1), // zero would mean "unset"
		Category:       temporal.ApplicationErrorCategoryBenign,
	}
	if why != nil {
		o.Cause = OfStop(why, nil)
	}
	return temporal.NewApplicationErrorWithOptions(wire.Cut(err.Error(), wire.MaxReason), HandBackType(err), o)
}

// Unstartable is the failure of a server attempt that cannot begin, for a reason
// that may pass: the server makes another one.
func Unstartable(err error) error {
	if app, ok := err.(*temporal.ApplicationError); ok && app.NonRetryable() { //nolint:errorlint // the engine's own
		return err
	}
	return temporal.NewApplicationErrorWithOptions(wire.Cut(err.Error(), wire.MaxReason), UnreadableType, temporal.ApplicationErrorOptions{
		NextRetryDelay: UnstartableDelay,
	})
}

const UnstartableDelay = time.Second

// UnstartedError is the failure of a server attempt that could not tell the server
// of the call's first start.
type UnstartedError struct {
	Method string
	Err    error
}

func (e *UnstartedError) Error() string {
	return e.Method + ": its start could not be recorded: " + e.Err.Error()
}

func (e *UnstartedError) Unwrap() error { return e.Err }

// LostReason is what is known of an attempt of which nothing is.
const LostReason = "left no outcome: its worker was shut down, killed or cut off"

// LimitError is the failure of a server attempt that has waited for limits in
// vain, and the end of a call that has before its first attempt.
type LimitError struct {
	Method string
	Err    error
}

func (e *LimitError) Error() string { return e.Method + ": " + e.Err.Error() }

func (e *LimitError) Unwrap() error { return e.Err }

// RefusedError stands for a refusal among the causes of a retry.
type RefusedError struct{ Reason error }

func (e *RefusedError) Error() string { return e.Reason.Error() }

func (e *RefusedError) Unwrap() error { return e.Reason }
