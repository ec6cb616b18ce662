package retrypolicy

import (
	"errors"
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

// StopError is the error of a call that ended although it had retries left,
// and although its last error is one to be retried: for StopCallTimeout,
// StopMaxElapsed, StopBudget and StopLimits. Err is that last error, whose type,
// details and causes the call keeps. Find it with StopOf.
type StopError struct {
	Stop   Stop
	Detail string // such as "the wait of 2m0s does not fit into 30s, what is left of the call"
	Err    error
}

// Error is the last error's text, and why it was not retried.
func (e *StopError) Error() string {
	if e.Err == nil {
		return prefix + e.Detail
	}
	return e.Err.Error() + "; " + prefix + e.Detail
}

const prefix = "not retried: "

// Unwrap is the last error.
func (e *StopError) Unwrap() error { return e.Err }

// ToTemporal is the error as it travels: as the first cause of the call's own
// error, which keeps its message, with cause behind it.
func (e *StopError) ToTemporal(cause error) error {
	return temporal.NewApplicationErrorWithOptions(prefix+e.Detail, StopType, temporal.ApplicationErrorOptions{
		NonRetryable: true, Cause: cause, Details: []any{string(e.Stop)},
	})
}

// StopOf tells why a call ended that had retries left, on either side of the
// wire. ok is false for calls that ended in any other way, also where the
// method's own error is that of another call which did.
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
func FindStop(err error) *StopError {
	ofWorkflow := false // its own errors are around the call's
	for err != nil {
		switch e := err.(type) { //nolint:errorlint // the chain is walked here
		case *StopError:
			return e
		case *otherCallError:
			return nil
		case *temporal.WorkflowExecutionError, *temporal.ChildWorkflowExecutionError:
			ofWorkflow = true
		case *temporal.ActivityError:
			ofWorkflow = false
		case *temporal.ApplicationError:
			for _, app := range []error{e, e.Unwrap()} {
				if stopped := traveled(app); stopped != nil {
					return stopped
				}
			}
			if !ofWorkflow {
				return nil // this is the call's error, and its causes are the method's
			}
		case interface{ Unwrap() []error }:
			for _, one := range e.Unwrap() {
				if stopped := FindStop(one); stopped != nil {
					return stopped
				}
			}
			return nil
		}
		err = errors.Unwrap(err)
	}
	return nil
}

// traveled is the StopError that came as err; nil if it is none.
func traveled(err error) *StopError {
	app, ok := err.(*temporal.ApplicationError) //nolint:errorlint // this one
	if !ok || app.Type() != StopType {
		return nil
	}
	if stop := ""; app.HasDetails() && app.Details(&stop) == nil {
		return &StopError{Stop: Stop(stop), Detail: strings.TrimPrefix(app.Message(), prefix)}
	}
	return nil
}

// OfOtherCall is for the engine: err, the error of a method, such that no
// StopError in it is taken for that of the method's own call.
func OfOtherCall(err error) error {
	if FindStop(err) == nil {
		return err
	}
	return &otherCallError{err}
}

// otherCallError hides from FindStop what another call has stopped by, and from
// nobody else.
type otherCallError struct{ err error }

func (e *otherCallError) Error() string { return e.err.Error() }
func (e *otherCallError) Unwrap() error { return e.err }
