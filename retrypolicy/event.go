package retrypolicy

import (
	"context"
	"log/slog"
	"time"
)

// Decision is what the engine does after an attempt.
type Decision string

const (
	// DecisionAccept: the attempt's result is the call's.
	DecisionAccept Decision = "accept"
	// DecisionRetry: another attempt follows after Event.Wait.
	DecisionRetry Decision = "retry"
	// DecisionGiveUp: the call ends with an error; Event.Stop says why.
	DecisionGiveUp Decision = "give up"
)

// Event is one attempt that has ended, and what was decided about it.
type Event struct {
	// Attempt is the attempt, as filters and validators get it.
	Attempt
	// Verdict is what became of the attempt.
	Verdict Verdict
	// ErrorType is a failed attempt's Temporal application error type, or the
	// name of its Go error type, as in Outcome.
	ErrorType string
	// Err is the error of a failed attempt, the validator's of a refused one,
	// and says what is known of a lost one. Nil if Decision is DecisionAccept.
	Err error
	// Decision is what comes next.
	Decision Decision
	// Wait is how long the engine waits before the next attempt.
	Wait time.Duration
	// OnServer reports whether the Temporal server does the waiting, for DecisionRetry.
	OnServer bool
	// Stop is why there is no further attempt, for DecisionGiveUp.
	Stop Stop
	// Execution is the activity that the call is; zero for calls in this process.
	Execution Execution
}

// Execution names an activity, and one server attempt of it, as Temporal does.
type Execution struct {
	// WorkflowID is empty for an activity without a workflow.
	WorkflowID string
	// RunID is the workflow's, or that of an activity without one.
	RunID string
	// ActivityID is the activity's.
	ActivityID string
	// ServerAttempt is Temporal's attempt, from 1: what activity.GetInfo calls
	// Attempt. In each there are one or more attempts of the call.
	ServerAttempt int32
}

// Observer is called after every attempt, once the decision about it is made and
// before any wait. ctx is the call's context, in an activity the activity's. An
// observer runs on the goroutine of the call, which waits for it. Calls run side by
// side, so it must be safe for concurrent use. A panic in it is logged, and changes
// nothing.
//
// A lost attempt is reported by the worker that discovers it. If that worker is lost
// as well, the next one reports it again.
type Observer func(ctx context.Context, e Event)

// LogTo returns an observer that writes a record for every event: at level Debug
// for results that are accepted, Warn for retries, Error for calls that end
// with an error. Those of activities have workflow_id, run_id, activity_id and
// server_attempt. Nil means slog.Default at the time of the event.
func LogTo(l *slog.Logger) Observer {
	return func(ctx context.Context, e Event) {
		logger := l
		if logger == nil {
			logger = slog.Default()
		}
		level := e.level()
		if !logger.Enabled(ctx, level) {
			return
		}
		attrs := append(make([]slog.Attr, 0, 12),
			slog.String("method", e.Method),
			slog.Int("attempt", e.Number),
			slog.String("verdict", string(e.Verdict)),
			slog.Duration("elapsed", e.Elapsed()),
		)
		if e.Err != nil {
			attrs = append(attrs, slog.String("reason", e.Err.Error()))
		}
		switch e.Decision {
		case DecisionRetry:
			attrs = append(attrs, slog.Duration("wait", e.Wait), slog.Bool("on_server", e.OnServer))
		case DecisionGiveUp:
			attrs = append(attrs, slog.String("stop", string(e.Stop)))
		}
		logger.LogAttrs(ctx, level, e.Message(), append(attrs, e.Execution.attrs()...)...)
	}
}

func (e *Event) level() slog.Level {
	switch e.Decision {
	case DecisionAccept:
		return slog.LevelDebug
	case DecisionRetry:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}

func (x *Execution) attrs() []slog.Attr {
	if x.ActivityID == "" {
		return nil
	}
	return []slog.Attr{
		slog.String("workflow_id", x.WorkflowID), slog.String("run_id", x.RunID),
		slog.String("activity_id", x.ActivityID), slog.Int("server_attempt", int(x.ServerAttempt)),
	}
}

// Message returns in a few words what became of the attempt, and what comes next.
func (e *Event) Message() string {
	switch e.Decision {
	case DecisionAccept:
		return "attempt accepted"
	case DecisionRetry:
		return "attempt " + string(e.Verdict) + ", retrying"
	default:
		return "attempt " + string(e.Verdict) + ", giving up"
	}
}
