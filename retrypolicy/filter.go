package retrypolicy

import (
	"errors"
	"reflect"
	"slices"

	"github.com/concurry-go/concurry/internal/chain"
)

// Filter reports whether an error is retried. It must be safe for concurrent use,
// since calls run side by side. It is called where the method runs, on the worker,
// and never when its answer cannot matter: after the last attempt, for permanent
// errors, for cancellations. One that panics has said no; the panic is logged.
type Filter func(err error, a Attempt) bool

// ErrorIs returns a filter that retries errors which match one of targets by
// [errors.Is]. Without a target, or with a nil one, it returns nil, which
// [Policy.Check] refuses.
func ErrorIs(targets ...error) Filter {
	if len(targets) == 0 || slices.Contains(targets, nil) {
		return nil
	}
	return func(err error, _ Attempt) bool {
		return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
	}
}

// ErrorAs returns a filter that retries errors with an E in their chain, as
// [errors.As] finds it. E is an error type such as *net.OpError, or any interface;
// with another type it returns nil, which [Policy.Check] refuses.
func ErrorAs[E any]() Filter {
	if t := reflect.TypeFor[E](); t.Kind() != reflect.Interface && !t.Implements(reflect.TypeFor[error]()) {
		return nil
	}
	return func(err error, _ Attempt) bool {
		var target E
		return errors.As(err, &target)
	}
}

// ErrorType returns a filter that retries Temporal application errors of one of
// these types, as given to temporal.NewApplicationError, anywhere in the chain,
// joined errors included. Without a type it returns nil, which [Policy.Check]
// refuses.
func ErrorType(types ...string) Filter {
	if len(types) == 0 {
		return nil
	}
	return func(err error, _ Attempt) bool { return chain.Application(err, types...) != nil }
}

// If returns a filter that retries the errors for which predicate returns true. Its
// [Attempt] has the attempt's number, the time since the first one started, the
// method, its arguments and the earlier outcomes. predicate must be safe for
// concurrent use.
func If(predicate func(err error, a Attempt) bool) Filter { return predicate }

// Not returns a filter that retries what f does not; nil for nil.
func Not(f Filter) Filter {
	if f == nil {
		return nil
	}
	return func(err error, a Attempt) bool { return !f(err, a) }
}
