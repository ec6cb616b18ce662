package retrypolicy

import (
	"errors"
	"strings"

	"go.temporal.io/sdk/temporal"
)

// Stop is why a call ended without another attempt.
type Stop string

const (
	// StopSpent: NumRetries retries were made.
	StopSpent Stop = "retries spent"
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

// StopError is the error of a call that ended although it had retries left,
// and although its last error is one to be retried: for StopCallTimeout,
// StopMaxElapsed, StopBudget and StopLimits. Err is that last error, whose type, details
// and causes the call keeps. Find it with StopOf.
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
// wire. ok is false for calls that ended in any other way.
func StopOf(err error) (stop Stop, ok bool) {
	e := FindStop(err)
	if e == nil {
		return "", false
	}
	return e.Stop, true
}

// FindStop is the StopError in err's chain, wherever err comes from; nil if
// there is none. Behind the wire it has no Err.
func FindStop(err error) *StopError {
	if e, ok := errors.AsType[*StopError](err); ok {
		return e
	}
	for err != nil {
		if app, ok := err.(*temporal.ApplicationError); ok && app.Type() == StopType { //nolint:errorlint // the chain is walked here
			var stop string
			if app.Details(&stop) == nil {
				return &StopError{Stop: Stop(stop), Detail: strings.TrimPrefix(app.Message(), prefix)}
			}
		}
		err = errors.Unwrap(err)
	}
	return nil
}
