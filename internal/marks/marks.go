// Package marks holds the errors that steer a call, and the names under which
// its ends travel: package retrypolicy makes and reads them, and so does the
// engine.
package marks

import "time"

const (
	// StopType is the application error type of a retrypolicy.StopError, which
	// travels as a cause of the call's own error.
	StopType = "RetryStopped"
	// LostType is the application error type of a call that makes no other
	// attempt, and whose last one left no outcome.
	LostType = "AttemptLost"
	// RefusedType is the application error type of a
	// validation.RetryValidationError.
	RefusedType = "RetryValidationError"
)

// PermanentError is the mark of retrypolicy.Permanent.
type PermanentError struct{ Err error }

func (e *PermanentError) Error() string { return e.Err.Error() }
func (e *PermanentError) Unwrap() error { return e.Err }

// AfterError is the mark of retrypolicy.After.
type AfterError struct {
	Err   error
	Delay time.Duration // 0 or more
}

func (e *AfterError) Error() string { return e.Err.Error() }
func (e *AfterError) Unwrap() error { return e.Err }

// CallEndError is the end of a call in this process, in the error of another one: the
// marks behind it mean nothing to that.
type CallEndError struct{ Err error }

func (e *CallEndError) Error() string { return e.Err.Error() }
func (e *CallEndError) Unwrap() error { return e.Err }

// Unmark returns err without the marks around it.
func Unmark(err error) error {
	for {
		switch e := err.(type) { //nolint:errorlint // only what stands around it
		case *PermanentError:
			err = e.Err
		case *AfterError:
			err = e.Err
		default:
			return err
		}
	}
}
