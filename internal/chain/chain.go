// Package chain looks through chains of errors.
package chain

import (
	"errors"
	"slices"
	"time"
)

// Longest is how many errors of a chain are looked at. No program wraps an error
// so often; an error that is its own cause would be walked for ever.
const Longest = 200

// Walk calls visit with err and every error that it wraps, joined ones included,
// outermost first, until one call returns Stop, or Longest errors were visited.
// Behind one for which it returns Skip nothing is visited. It reports whether
// there were no more than Longest.
func Walk(err error, visit func(error) Step) (whole bool) {
	left := Longest
	walk(err, visit, &left)
	return left >= 0
}

// Step is what Walk does next.
type Step int

const (
	// Next visits what the error wraps.
	Next Step = iota
	// Skip leaves that out.
	Skip
	// Stop ends the walk.
	Stop
)

func walk(err error, visit func(error) Step, left *int) (stopped bool) {
	for err != nil {
		if *left--; *left < 0 {
			return true
		}
		switch visit(err) {
		case Stop:
			return true
		case Skip:
			return false
		}
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				if walk(e, visit, left) {
					return true
				}
			}
			return false
		}
		err = errors.Unwrap(err)
	}
	return false
}

// ApplicationError has the methods of a *temporal.ApplicationError, so that packages
// can read one without importing Temporal's.
type ApplicationError interface {
	error
	Type() string
	Message() string
	NonRetryable() bool
	NextRetryDelay() time.Duration
	HasDetails() bool
	Details(pointers ...any) error
}

// Application returns the first Temporal application error of one of these types in
// err's chain, joined errors included; nil if there is none. errors.As would
// stop at the first application error of any type.
func Application(err error, types ...string) (found ApplicationError) {
	Walk(err, func(err error) Step {
		if app, ok := err.(ApplicationError); ok && slices.Contains(types, app.Type()) { //nolint:errorlint // the chain is walked here
			found = app
			return Stop
		}
		return Next
	})
	return found
}

// Each is err with each of the errors joined in it replaced by what f makes of
// it, however deep they are joined. Nil stays nil.
func Each(err error, f func(error) error) error {
	if err == nil {
		return nil
	}
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return f(err)
	}
	all := many.Unwrap()
	errs := make([]error, len(all))
	for i, e := range all {
		errs[i] = Each(e, f)
	}
	return errors.Join(errs...)
}
