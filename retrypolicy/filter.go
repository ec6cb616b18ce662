package retrypolicy

import (
	"errors"
	"reflect"
	"slices"

	"github.com/concurry-go/concurry/internal/chain"
)

// Filter decides whether an error is retried. It is called on the worker, by
// one goroutine per call, and never when its answer cannot matter: after the
// last attempt, for permanent errors, for cancellations. One that panics has
// said no; the panic is logged.
type Filter func(err error, a Attempt) bool

// ErrorIs retries errors that match one of targets by errors.Is. Without a
// target, or with a nil one, it is nil, which Check refuses.
func ErrorIs(targets ...error) Filter {
	if len(targets) == 0 || slices.Contains(targets, nil) {
		return nil
	}
	return func(err error, _ Attempt) bool {
		return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
	}
}

// ErrorAs retries errors that have an E in their chain, as errors.As finds it.
// E is an error type such as *net.OpError, or any interface; with another type
// it is nil, which Check refuses.
func ErrorAs[E any]() Filter {
	if t := reflect.TypeFor[E](); t.Kind() != reflect.Interface && !t.Implements(reflect.TypeFor[error]()) {
		return nil
	}
	return func(err error, _ Attempt) bool {
		var target E
		return errors.As(err, &target)
	}
}

// ErrorType retries Temporal application errors of one of these types, the
// ones temporal.NewApplicationError was given, anywhere in the chain, joined
// errors included. Without a type it is nil, which Check refuses.
func ErrorType(types ...string) Filter {
	if len(types) == 0 {
		return nil
	}
	return func(err error, _ Attempt) bool { return chain.Application(err, types...) != nil }
}

// If retries errors the predicate says yes to. The attempt tells it the
// attempt's number, the time since the first one started, the method, its
// arguments and the earlier outcomes.
func If(predicate func(err error, a Attempt) bool) Filter { return predicate }

// Not turns a filter round; nil stays nil.
func Not(f Filter) Filter {
	if f == nil {
		return nil
	}
	return func(err error, a Attempt) bool { return !f(err, a) }
}
