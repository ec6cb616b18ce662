package failure

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// TimeoutError is the error of an attempt that time has ended: which timeout, and
// its value, which the error of a context does not say.
type TimeoutError struct {
	option string // such as AttemptTimeout
	value  time.Duration
	Call   bool // it was the whole call's
	err    error
}

func (e *TimeoutError) Error() string { return fmt.Sprintf("%v (%s)", e.err, e.Name()) }
func (e *TimeoutError) Unwrap() error { return e.err }
func (e *TimeoutError) Name() string  { return fmt.Sprintf("%s %v", e.option, e.value) }

// WithTimeout is err, of an attempt whose own context has ended, with the timeout
// that ended it; err itself where that is not what it is about.
func WithTimeout(err error, option string, value time.Duration, call bool) error {
	if value <= 0 || err == nil || !errors.Is(err, context.DeadlineExceeded) && err != ErrAbandoned { //nolint:errorlint // never wrapped
		return err
	}
	return &TimeoutError{option: option, value: value, Call: call, err: err}
}
