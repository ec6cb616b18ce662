package retrypolicy

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
)

// Permanent marks err as not to be retried, whatever the policy says. The mark
// does not change the error's text, and is transparent to errors.Is and
// errors.As. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{mark{err}}
}

// After marks err with the delay to wait before the next attempt, if the
// policy retries it: for a server that says when to come back. The delay is
// taken as it is, without backoff, jitter or MaxWait; zero and less mean at
// once. After(nil, d) is nil.
func After(err error, delay time.Duration) error {
	if err == nil {
		return nil
	}
	return &afterError{mark: mark{err}, delay: max(delay, 0)}
}

// mark is an error that adds nothing to the one it wraps.
type mark struct{ err error }

func (m mark) Error() string { return m.err.Error() }
func (m mark) Unwrap() error { return m.err }
func (m mark) marked() error { return m.err }

type permanentError struct{ mark }

type afterError struct {
	mark
	delay time.Duration
}

// Unmark returns err without the marks of Permanent and After around it.
func Unmark(err error) error {
	for {
		m, ok := err.(interface{ marked() error })
		if !ok {
			return err
		}
		err = m.marked()
	}
}

// IsPermanent tells whether err carries the mark of Permanent, or is (or
// wraps) a Temporal application error that is non-retryable.
func IsPermanent(err error) bool {
	if _, ok := errors.AsType[*permanentError](err); ok {
		return true
	}
	app, ok := errors.AsType[*temporal.ApplicationError](err)
	return ok && app.NonRetryable()
}

// DelayOf returns the delay err asks for: the one of After, or the
// NextRetryDelay of a Temporal application error. ok tells whether it does.
func DelayOf(err error) (delay time.Duration, ok bool) {
	if a, ok := errors.AsType[*afterError](err); ok {
		return a.delay, true
	}
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok && app.NextRetryDelay() > 0 {
		return app.NextRetryDelay(), true
	}
	return 0, false
}
