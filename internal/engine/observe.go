package engine

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/retrypolicy"
)

// Notify tells observers of an event; the error is of those that panicked.
func Notify(ctx context.Context, observers []retrypolicy.Observer, event retrypolicy.Event) (problems error) {
	for _, o := range observers {
		problems = errors.Join(problems, notifyOne(ctx, o, event))
	}
	return problems
}

func notifyOne(ctx context.Context, o retrypolicy.Observer, event retrypolicy.Event) (problem error) {
	defer failure.Recovered(&problem)
	o(ctx, event)
	return nil
}

// LogProblem is where a call in this process has its panicking filters and
// observers reported.
func LogProblem(ctx context.Context, what, method string, problem error) {
	if problem != nil {
		slog.Default().ErrorContext(ctx, what, "method", method, "error", problem)
	}
}

// Event is what is told about a decision.
func (d *Decision) Event(a retrypolicy.Attempt) retrypolicy.Event {
	event := retrypolicy.Event{Attempt: a, Verdict: d.Verdict, Err: d.Cause}
	if d.Verdict == retrypolicy.VerdictFailed && d.Cause != nil {
		event.ErrorType = failure.TypeOf(d.Cause)
	}
	switch d.Action {
	case Accept:
		event.Decision = retrypolicy.DecisionAccept
	case End:
		event.Decision, event.Stop = retrypolicy.DecisionGiveUp, d.Stop
	case WaitHere, WaitServer:
		event.Decision, event.Wait, event.OnServer = retrypolicy.DecisionRetry, d.Delay, d.Action == WaitServer
	}
	return event
}

// PastCall is a call as it was when an attempt ended: observers may keep it.
type PastCall struct {
	Took      time.Duration
	Arguments []any
	Earlier   []retrypolicy.Outcome
}

// Snapshot returns what c is at the moment.
func Snapshot(c retrypolicy.Past) PastCall {
	return PastCall{Took: c.Elapsed(), Arguments: c.Args(), Earlier: c.Previous()}
}

// Elapsed implements retrypolicy.Past.
func (p PastCall) Elapsed() time.Duration { return p.Took }

// Args implements retrypolicy.Past.
func (p PastCall) Args() []any { return p.Arguments }

// Previous implements retrypolicy.Past.
func (p PastCall) Previous() []retrypolicy.Outcome { return p.Earlier }
