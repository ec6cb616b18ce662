package validation

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/sdk/converter"

	"github.com/concurry-go/concurry/internal/chain"
	"github.com/concurry-go/concurry/internal/marks"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
)

// RetryValidationError ends a call whose last known outcome was a result that
// its validators refused.
type RetryValidationError struct {
	// MethodName is the activity type, such as "LLM.Generate".
	MethodName string
	// Attempts is how many attempts the call started, in all.
	Attempts int
	// ValidationErrors says why each refused result was refused, in order.
	ValidationErrors []string
	// Outcomes are the call's attempts in order: refused ones with their
	// result, failed ones with their error, lost ones. Over many attempts the
	// oldest are left out, and so are results that had no room.
	Outcomes []retrypolicy.Outcome
	// LeftOut is how many outcomes are missing at the front of Outcomes.
	LeftOut int
	// Stopped says why there was no further attempt; nil where nobody knows.
	Stopped *retrypolicy.StopError
}

// Error returns a text that names the method, the counts and the last reason; results are not in
// it, since they can be large.
func (e *RetryValidationError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: no valid result in %d attempt(s)", e.MethodName, e.Attempts)
	if n := len(e.ValidationErrors); n > 0 {
		fmt.Fprintf(&b, ": %s", firstLine(e.ValidationErrors[n-1]))
	}
	if lost := e.lost(); len(lost) > 0 {
		fmt.Fprintf(&b, " (attempts without outcome: %s)", strings.Trim(fmt.Sprint(lost), "[]"))
	}
	if e.Stopped != nil && e.Stopped.Detail != "" {
		fmt.Fprintf(&b, "; %v", e.Stopped)
	}
	return b.String()
}

// Unwrap returns Stopped.
func (e *RetryValidationError) Unwrap() error {
	if e == nil || e.Stopped == nil {
		return nil
	}
	return e.Stopped
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

func (e *RetryValidationError) refused() []retrypolicy.Outcome {
	if e == nil { // As said no, and nobody listened
		return nil
	}
	var refused []retrypolicy.Outcome
	for _, o := range e.Outcomes {
		if o.Verdict == retrypolicy.VerdictRefused && !o.BeforeReset {
			refused = append(refused, o)
		}
	}
	return refused
}

func (e *RetryValidationError) lost() []int {
	var lost []int
	for _, o := range e.Outcomes {
		if o.Verdict == retrypolicy.VerdictLost && !o.BeforeReset {
			lost = append(lost, o.Number)
		}
	}
	return lost
}

// Results decodes every refused result that was kept, in order.
func Results[T any](e *RetryValidationError) ([]T, error) {
	var all []T
	for _, o := range e.refused() {
		v, err := retrypolicy.ResultOf[T](o)
		if errors.Is(err, wire.ErrNotKept) || errors.Is(err, retrypolicy.ErrNoResult) {
			continue
		}
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}

// Best returns the refused result with the highest score, the earliest of equals;
// NaN is below every number. Without any it returns e itself.
func Best[T any](e *RetryValidationError, score func(T) float64) (T, error) {
	var best T
	all, err := Results[T](e)
	if err != nil {
		return best, err
	}
	if len(all) == 0 {
		return best, e.orNone()
	}
	best = all[0]
	highest := score(best)
	for _, v := range all[1:] {
		if s := score(v); cmp.Compare(s, highest) > 0 {
			best, highest = v, s
		}
	}
	return best, nil
}

var errNone = errors.New("validation: no RetryValidationError")

// orNone is e as an error, also where there is none.
func (e *RetryValidationError) orNone() error {
	if e == nil {
		return errNone
	}
	return e
}

// Last returns the last refused result. Without any it returns e itself.
func Last[T any](e *RetryValidationError) (T, error) {
	var last T
	all, err := Results[T](e)
	if err != nil {
		return last, err
	}
	if len(all) == 0 {
		return last, e.orNone()
	}
	return all[len(all)-1], nil
}

// As finds a RetryValidationError in err's chain, wherever err comes from: a
// call in this process, a future inside a workflow, a client outside. It works
// like errors.As.
func As(err error, target **RetryValidationError) bool {
	if target == nil {
		panic("validation: As: target must be a non-nil pointer")
	}
	if errors.As(err, target) {
		return true
	}
	app := chain.Application(err, marks.RefusedType)
	if app == nil {
		return false
	}
	*target = decode(app)
	return true
}

// decode also accepts an error of the right type whose details are not ours,
// from another language or a lost detail, with what its message says.
func decode(app chain.ApplicationError) (e *RetryValidationError) {
	var stopped *retrypolicy.StopError
	if stop, ok := retrypolicy.StopOf(app); ok {
		stopped = &stop
	}
	e = &RetryValidationError{ValidationErrors: []string{app.Message()}, Stopped: stopped}
	// The SDK's test environment hands local activities' details over
	// unencoded, and panics when asked for another type.
	defer func() { _ = recover() }()
	var raw converter.RawValue
	if !app.HasDetails() || app.Details(&raw) != nil || !wire.Is(wire.Refusals, raw.Payload()) {
		return e
	}
	var d wire.RefusedCall
	if err := wire.Open(wire.Refusals, raw.Payload(), &d); err != nil {
		e.ValidationErrors = append(e.ValidationErrors, err.Error())
		return e
	}
	outcomes := make([]retrypolicy.Outcome, len(d.Outcomes))
	for i, o := range d.Outcomes {
		if n := detailOf(o.Result); n > 0 {
			o.Result = wire.InDetail(n, func(ptr any) error { return detail(app, n, ptr) })
		}
		outcomes[i] = o.Outcome(nil)
	}
	return &RetryValidationError{
		MethodName: d.Method, Attempts: d.Attempts, Outcomes: outcomes, LeftOut: d.LeftOut,
		ValidationErrors: wire.RefusedReasons(outcomes), Stopped: stopped,
	}
}

func detailOf(r *wire.Result) int {
	if r == nil || r.Detail > maxDetails {
		return 0
	}
	return r.Detail
}

// maxDetails bounds how many details are asked for.
const maxDetails = 1000

// detail decodes detail n of app, with the converter that it came with.
func detail(app chain.ApplicationError, n int, ptr any) error {
	pointers := make([]any, n+1)
	for i := range pointers {
		pointers[i] = &converter.RawValue{}
	}
	pointers[n] = ptr
	if err := app.Details(pointers...); err != nil {
		return fmt.Errorf("%w; to read what a DataConverter of your own has encoded, give the client a FailureConverter with it", err)
	}
	return nil
}
