package attempt

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// timeoutError is the error of an attempt that time has ended: which timeout, and
// its value, which the error of a context does not say.
type timeoutError struct {
	option string // such as AttemptTimeout
	value  time.Duration
	call   bool // it was the whole call's
	err    error
}

func (e *timeoutError) Error() string { return fmt.Sprintf("%v (%s)", e.err, e.name()) }
func (e *timeoutError) Unwrap() error { return e.err }
func (e *timeoutError) name() string  { return fmt.Sprintf("%s %v", e.option, e.value) }

// timedOut is err, of an attempt whose own context has ended, with the timeout
// that ended it; err itself where that is not what it is about.
func timedOut(err error, option string, value time.Duration, call bool) error {
	if value <= 0 || err == nil || !errors.Is(err, context.DeadlineExceeded) && err != ErrAbandoned { //nolint:errorlint // never wrapped
		return err
	}
	return &timeoutError{option: option, value: value, call: call, err: err}
}
