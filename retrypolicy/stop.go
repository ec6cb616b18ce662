package retrypolicy

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/concurry-go/concurry/internal/chain"
	"github.com/concurry-go/concurry/internal/marks"
)

// Stop is why a call ended without another attempt.
type Stop string

const (
	// StopSpent: NumRetries retries were made.
	StopSpent Stop = "retries spent"
	// StopCase: the error is of a case whose own retries were made, or that has
	// none.
	StopCase Stop = "the case's retries spent"
	// StopFiltered: no filter says that the error is retried.
	StopFiltered Stop = "not retried by any filter"
	// StopPermanent: the error is one of Permanent, or a Temporal application
	// error that is non-retryable.
	StopPermanent Stop = "permanent"
	// StopCallTimeout: the next wait does not fit into what is left of the call's
	// timeout, or the timeout ended the last attempt.
	StopCallTimeout Stop = "call timeout"
	// StopMaxElapsed: the wait does not fit into Policy.MaxElapsed.
	StopMaxElapsed Stop = "maximum elapsed time"
	// StopBudget: the retry budget the call shares with others is spent.
	StopBudget Stop = "retry budget"
	// StopLimits: there was no room in the method's limits for as long as the
	// call could wait.
	StopLimits Stop = "waiting for limits"
	// StopCanceled: the call was canceled.
	StopCanceled Stop = "canceled"
	// StopCaller: the activity options of a caller who brought his own forbid
	// further server attempts; see worker.Policies.
	StopCaller Stop = "caller's options"
)

// Error returns s as a text. A Stop is an error so that errors.Is finds it in the
// end of a call in this process, as errors.Is(err, retrypolicy.StopBudget). In errors
// that came through Temporal, [StopOf] finds it.
func (s Stop) Error() string { return string(s) }

// IsLost reports whether err is the end of a call whose last attempt left no
// outcome: its worker was shut down, killed or cut off. It works on errors of
// in-process calls and on errors that came through Temporal.
func IsLost(err error) bool { return chain.Application(err, marks.LostType) != nil }

// StopError is the end of a call that its policy governed: why there was no
// further attempt, and after how many. Err is the last attempt's error, whose text,
// type, details and causes the call keeps. Find it with StopOf, or errors.As.
type StopError struct {
	Stop Stop
	// Attempts is how many attempts the call made.
	Attempts int
	// Detail says more where the call had retries left and its last error is one
	// to be retried: for StopCallTimeout, StopMaxElapsed, StopBudget and
	// StopLimits, such as "the wait of 2m0s does not fit into 30s, what is left of
	// the call's timeout".
	Detail string
	Err    error
}

// Error returns the last error's text; with a Detail also why it was not retried.
// The error of a call through Temporal says why in any case, since many see its text
// alone.
func (e *StopError) Error() string {
	switch {
	case e.Err == nil:
		return e.why()
	case e.Detail == "":
		return e.Err.Error()
	default:
		return e.Err.Error() + "; " + e.why()
	}
}

// why is why the call ended, in words that explained reads.
func (e *StopError) why() string {
	noun := "attempts"
	if e.Attempts == 1 {
		noun = "attempt"
	}
	why := fmt.Sprintf("%s%d %s: %s", gaveUp, e.Attempts, noun, e.Stop)
	if e.Detail != "" {
		why += ": " + e.Detail
	}
	return why
}

const gaveUp = "gave up after "

// Is reports whether target is e's Stop, for errors.Is.
func (e *StopError) Is(target error) bool {
	stop, ok := target.(Stop)
	return ok && stop == e.Stop
}

// Unwrap returns the last error.
func (e *StopError) Unwrap() error { return e.Err }

// StopOf returns why the call that ended with err made no further attempt, and how
// many it made. It works on errors of in-process calls and on errors that came
// through Temporal; from those the result has no Err. ok is false if no policy
// governed the call, if a canceled call ended with nothing but its cancellation, and
// if only another call, made by the method, left a reason. For joined errors, as of a
// map, it returns the first.
func StopOf(err error) (stop StopError, ok bool) {
	if e := findStop(err); e != nil {
		return *e, true
	}
	return StopError{}, false
}

func findStop(err error) (found *StopError) {
	ofWorkflow := false // its own errors are around the call's
	chain.Walk(err, func(err error) chain.Step {
		switch e := err.(type) { //nolint:errorlint // the chain is walked here
		case *StopError:
			found = e
			return chain.Stop
		case *marks.CallEndError:
			return chain.Skip
		case chain.ApplicationError:
			if found = stopOf(e); found != nil {
				return chain.Stop
			}
			if !ofWorkflow {
				return chain.Skip // this is the call's error, and its causes are the method's
			}
		default:
			switch temporalType(err) {
			case "WorkflowExecutionError", "ChildWorkflowExecutionError":
				ofWorkflow = true
			case "ActivityError":
				ofWorkflow = false
			case "PanicError":
				found = explained(err.Error())
				return stopIf(found != nil)
			}
		}
		return chain.Next
	})
	return found
}

// temporalType returns the name of err's type if that is one of Temporal's SDK. This
// package does not import it, and not all of its errors have methods to know them by.
func temporalType(err error) string {
	t := reflect.TypeOf(err)
	if t.Kind() != reflect.Pointer || t.Elem().PkgPath() != "go.temporal.io/sdk/internal" {
		return ""
	}
	return t.Elem().Name()
}

func stopIf(yes bool) chain.Step {
	if yes {
		return chain.Stop
	}
	return chain.Next
}

// stopOf is the StopError that came with app, as itself or its first cause; nil
// if there is none.
func stopOf(app chain.ApplicationError) *StopError {
	if e := traveled(app); e != nil {
		return e
	}
	cause, ok := errors.Unwrap(app).(chain.ApplicationError) //nolint:errorlint // this one
	if !ok || cause.Type() != marks.StopType {
		return nil
	}
	if e := traveled(cause); e != nil {
		return e
	}
	return explained(app.Message()) // a codec of its worker's, which this program lacks
}

// traveled is the StopError that came as app; nil if it is none.
func traveled(app chain.ApplicationError) *StopError {
	if app.Type() != marks.StopType || !app.HasDetails() {
		return nil
	}
	var stop string // and no Stop: details that have not traveled yet must be of the very type
	e := &StopError{}
	if app.Details(&stop, &e.Attempts, &e.Detail) != nil {
		return nil //nolint:nilerr // it is none of ours
	}
	e.Stop = Stop(stop)
	return e
}

// explained reads the end of a message. A panic arrives with its text and its
// stack, and without any cause.
func explained(text string) *StopError {
	i := strings.LastIndex(text, "; "+gaveUp)
	if i < 0 {
		return nil
	}
	e := &StopError{}
	count, why, _ := strings.Cut(text[i+len("; "+gaveUp):], ": ")
	var noun string
	if n, err := fmt.Sscan(count, &e.Attempts, &noun); n != 2 || err != nil {
		return nil //nolint:nilerr // it is none of ours
	}
	stop, detail, _ := strings.Cut(why, ": ")
	switch e.Stop, e.Detail = Stop(stop), detail; e.Stop {
	case StopSpent, StopCase, StopFiltered, StopPermanent, StopCallTimeout, StopMaxElapsed, StopBudget, StopLimits, StopCanceled, StopCaller:
		return e
	default:
		return nil
	}
}
