// Package chain looks through chains of errors.
package chain

import (
	"errors"
	"slices"

	"go.temporal.io/sdk/temporal"
)

// Application is the first Temporal application error of one of these types in
// err's chain, joined errors included; nil if there is none. errors.As would
// stop at the first application error of any type.
func Application(err error, types ...string) *temporal.ApplicationError {
	for err != nil {
		if app, ok := err.(*temporal.ApplicationError); ok && slices.Contains(types, app.Type()) { //nolint:errorlint // the chain is walked here
			return app
		}
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				if app := Application(e, types...); app != nil {
					return app
				}
			}
			return nil
		}
		err = errors.Unwrap(err)
	}
	return nil
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
