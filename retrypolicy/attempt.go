package retrypolicy

import (
	"errors"
	"fmt"
	"time"
)

// Attempt is what filters and validators are told about the attempt they
// judge. The zero value, or a literal, serves to test them.
type Attempt struct {
	// Number counts the attempts of the call from 1, over all workers.
	Number int
	// Method is the activity type, such as "LLM.Generate".
	Method string
	// Past answers the methods below; nil answers with nothing.
	Past Past
}

// Past is where an Attempt finds the rest of its call: what it was called with, and
// what has happened since.
type Past interface {
	// Elapsed is the time since the first attempt started.
	Elapsed() time.Duration
	// Args are the arguments the method was called with, its context left out.
	Args() []any
	// Previous are the outcomes of the earlier attempts, in order.
	Previous() []Outcome
}

// Elapsed returns the time since the call's first attempt started, read when it is
// asked for: it includes the attempt that just ended, and survives moving to
// another worker.
func (a Attempt) Elapsed() time.Duration {
	if a.Past == nil {
		return 0
	}
	return a.Past.Elapsed()
}

// Args returns the arguments the method was called with, its context left out.
func (a Attempt) Args() []any {
	if a.Past == nil {
		return nil
	}
	return a.Past.Args()
}

// Previous returns the outcomes of the call's earlier attempts, in order.
func (a Attempt) Previous() []Outcome {
	if a.Past == nil {
		return nil
	}
	return a.Past.Previous()
}

// Arg returns argument i (from 0) of the call; false if there is none, or it is no T.
func Arg[T any](a Attempt, i int) (T, bool) {
	var zero T
	args := a.Args()
	if i < 0 || i >= len(args) {
		return zero, false
	}
	v, ok := args[i].(T)
	return v, ok
}

// Verdict is what became of an attempt.
type Verdict string

const (
	// VerdictAccepted: the body returned a result that no validator refused.
	VerdictAccepted Verdict = "accepted"
	// VerdictFailed: the body returned an error, or panicked.
	VerdictFailed Verdict = "failed"
	// VerdictRefused: the body returned a result and a validator refused it.
	VerdictRefused Verdict = "refused"
	// VerdictLost: the body was started and nobody knows how it ended, since its
	// worker was shut down, killed or cut off.
	VerdictLost Verdict = "lost"
)

// Outcome is what an earlier attempt of the call left behind.
type Outcome struct {
	// Number is the attempt's, from 1.
	Number  int
	Verdict Verdict
	// Reason is the error's text, or why the validator refused.
	Reason string
	// ErrorType is a failed attempt's Temporal application error type, or
	// the name of its Go error type.
	ErrorType string
	// Wait is how long the engine decided to wait afterwards.
	Wait time.Duration
	// BeforeReset marks outcomes from before an operator reset the activity;
	// they do not count against NumRetries.
	BeforeReset bool
	// Result is a refused attempt's result; nil for other verdicts, and for
	// results left out because the journal had no room.
	Result Value
}

// Value is a result that may still be encoded.
type Value interface {
	// Get decodes into the value ptr points at.
	Get(ptr any) error
}

// ErrNoResult is returned for an outcome that has no result.
var ErrNoResult = errors.New("the outcome has no result")

// ResultOf decodes the result of a refused attempt.
func ResultOf[T any](o Outcome) (T, error) {
	var v T
	if o.Result == nil {
		return v, fmt.Errorf("attempt %d: %w", o.Number, ErrNoResult)
	}
	if err := o.Result.Get(&v); err != nil {
		return v, fmt.Errorf("result of attempt %d: %w", o.Number, err)
	}
	return v, nil
}
