package retrypolicy

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/chain"
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
	// StopCallTimeout: the wait does not fit into what is left of the call's
	// timeout.
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

// StopType is the application error type under which a StopError travels, as a
// cause of the call's own error.
const StopType = "RetryStopped"

// LostType is the application error type of a call whose retries are spent and
// whose last attempt left no outcome: its worker was shut down, killed or cut
// off.
const LostType = "AttemptLost"

// IsLost tells whether err is the end of such a call, on either side of the
// wire.
func IsLost(err error) bool { return chain.Application(err, LostType) != nil }

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

// Error returns the last error's text; with a Detail also why it was not
// retried. Behind the wire, where nobody sees more than a text, the error of the
// call says so in any case.
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

// Explain is for the engine: text, what the last attempt's error says, and why
// there is no further one, unless the call was never to have one.
func (e *StopError) Explain(text string) string {
	if e.Detail == "" && e.Stop == StopSpent && e.Attempts <= 1 {
		return text
	}
	return text + "; " + e.why()
}

// Unwrap is the last error.
func (e *StopError) Unwrap() error { return e.Err }

// ToTemporal is for the engine: the error as it travels, as the first cause of
// the call's own error, whose message says what this one knows, with cause behind
// it. more are further details.
func (e *StopError) ToTemporal(cause error, more ...any) error {
	return temporal.NewApplicationErrorWithOptions("no further attempt", StopType, temporal.ApplicationErrorOptions{
		NonRetryable: true, Cause: cause, Details: append([]any{string(e.Stop), e.Attempts, e.Detail}, more...),
	})
}

// StopOf returns why a call ended with an error, on either side of the wire. ok
// is false for calls that were canceled, or that no policy governed, and for a
// method's own error that is another call's.
func StopOf(err error) (stop Stop, ok bool) {
	e := FindStop(err)
	if e == nil {
		return "", false
	}
	return e.Stop, true
}

// FindStop is the StopError of the call that err is from, wherever that ran;
// nil if there is none. Of joined errors, such as a map's, it is the first.
// Behind the wire it has no Err.
func FindStop(err error) (found *StopError) {
	ofWorkflow := false // its own errors are around the call's
	chain.Walk(err, func(err error) chain.Step {
		switch e := err.(type) { //nolint:errorlint // the chain is walked here
		case *StopError:
			found = e
			return chain.Stop
		case *callEndError:
			return chain.Skip
		case *temporal.WorkflowExecutionError, *temporal.ChildWorkflowExecutionError:
			ofWorkflow = true
		case *temporal.ActivityError:
			ofWorkflow = false
		case *temporal.PanicError:
			found = explained(e.Error())
			return stopIf(found != nil)
		case *temporal.ApplicationError:
			if found = stopOf(e); found != nil {
				return chain.Stop
			}
			if !ofWorkflow {
				return chain.Skip // this is the call's error, and its causes are the method's
			}
		}
		return chain.Next
	})
	return found
}

func stopIf(yes bool) chain.Step {
	if yes {
		return chain.Stop
	}
	return chain.Next
}

// stopOf is the StopError that came with app, as itself or its first cause; nil
// if there is none.
func stopOf(app *temporal.ApplicationError) *StopError {
	if e := traveled(app); e != nil {
		return e
	}
	cause, ok := app.Unwrap().(*temporal.ApplicationError) //nolint:errorlint // this one
	if !ok || cause.Type() != StopType {
		return nil
	}
	if e := traveled(cause); e != nil {
		return e
	}
	return explained(app.Message()) // a codec of its worker's, which this program lacks
}

// traveled is the StopError that came as err; nil if it is none.
func traveled(err error) *StopError {
	app, ok := err.(*temporal.ApplicationError) //nolint:errorlint // this one
	if !ok || app.Type() != StopType || !app.HasDetails() {
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

// explained reads what Explain has written. A panic arrives with its text and its
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
	case StopSpent, StopCase, StopFiltered, StopPermanent, StopCallTimeout, StopMaxElapsed, StopBudget, StopLimits, StopCaller:
		return e
	default:
		return nil
	}
}

// EndOfCall is for the engine: err as a call in this process ends with it, where
// no StopError says so. What marks and stops it carries belong to that call, and
// mean nothing to one whose method returns it.
func EndOfCall(err error) error {
	err = Unmark(err)
	if carries(err) {
		return &callEndError{err}
	}
	return err
}

// carries reports whether err has a mark or a StopError in its chain.
func carries(err error) (yes bool) {
	chain.Walk(err, func(err error) chain.Step {
		switch e := err.(type) { //nolint:errorlint // the chain is walked here
		case *permanentError, *afterError, *StopError:
			yes = true
		case *temporal.ApplicationError:
			yes = e.NonRetryable() || e.NextRetryDelay() > 0
		case *callEndError:
			return chain.Skip
		}
		return stopIf(yes)
	})
	return yes
}

// callEndError is the end of a call, in the error of another one.
type callEndError struct{ err error }

func (e *callEndError) Error() string { return e.err.Error() }
func (e *callEndError) Unwrap() error { return e.err }
