package validation

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/concurry-go/concurry/retrypolicy"
)

// Validator decides whether a result is accepted: nil accepts it, an error says why
// not. It must be safe for concurrent use, since calls run side by side.
//
// The validators of a method are asked in order, after every attempt that returned
// without an error, until one refuses; one that panics has refused. They run where
// the method does, on the worker. Of a reason with several lines the error of the
// call shows the first; all of it is in ValidationErrors, up to [MaxReason] bytes
// behind a server.
type Validator[T any] func(result T, a retrypolicy.Attempt) error

// ErrRefused is the reason of validators made by [AcceptIf] without one.
var ErrRefused = errors.New("refused")

// AcceptIf returns a validator that accepts the results for which ok returns true,
// and refuses the others with reason; an empty reason is that of [ErrRefused]. ok
// must be safe for concurrent use. Without ok the validator is nil, which a
// definition refuses.
func AcceptIf[T any](reason string, ok func(result T) bool) Validator[T] {
	if ok == nil {
		return nil
	}
	refusal := ErrRefused
	if reason != "" {
		refusal = errors.New(reason)
	}
	return func(result T, _ retrypolicy.Attempt) error {
		if ok(result) {
			return nil
		}
		return refusal
	}
}

// Named returns the validators that a configuration's retry_until names, in its
// order. The error has a [retrypolicy.FieldError] for each name that is not in known.
func Named[T any](names []string, known map[string]Validator[T]) ([]Validator[T], error) {
	validators := make([]Validator[T], 0, len(names))
	var errs []error
	for _, name := range names {
		v := known[name]
		if v == nil {
			allowed := "must be the name of a validator that the method has: " + strings.Join(slices.Sorted(maps.Keys(known)), ", ")
			if len(known) == 0 {
				allowed = "must be the name of a validator that the method has; it has none"
			}
			errs = append(errs, &retrypolicy.FieldError{Field: "retry_until", Value: name, Allowed: allowed})
		}
		validators = append(validators, v)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return validators, nil
}
