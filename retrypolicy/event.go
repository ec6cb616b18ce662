package retrypolicy

import (
	"context"
	"log/slog"
	"time"
)

// Decision is what the engine does after an attempt.
type Decision string

const (
	// Accept: the attempt's result is the call's.
	Accept Decision = "accept"
	// Retry: another attempt follows after Event.Wait.
	Retry Decision = "retry"
	// GiveUp: the call ends with an error; Event.Stop says why.
	GiveUp Decision = "give up"
)

// Event is one attempt that has ended, and what was decided about it.
type Event struct {
	// Attempt is the attempt, with everything that filters and validators are
	// told about it.
	Attempt
	// Verdict is what became of the attempt.
	Verdict Verdict
	// ErrorType is a failed attempt's Temporal application error type, or the
	// name of its Go error type, as in Outcome.
	ErrorType string
	// Err is the error of a failed attempt, the validator's of a refused one,
	// and says what is known of a lost one. Nil if Decision is Accept.
	Err error
	// Decision is what comes next.
	Decision Decision
	// Wait is how long the engine waits before the next attempt.
	Wait time.Duration
	// OnServer tells that the Temporal server does the waiting, for a Retry.
	OnServer bool
	// Stop is why there is no further attempt, for GiveUp.
	Stop Stop
}

// Observer is told of every attempt that ends, once the decision about it is
// made and before anything is waited for. ctx is the call's, in an activity
// the activity's. It runs on the goroutine of the call, which waits for it;
// calls run side by side, so it must be safe for concurrent use. One that
// panics is logged, and changes nothing.
//
// A lost attempt is told of by the worker that finds out; if that is lost too,
// it is told of again.
type Observer func(ctx context.Context, e Event)

// LogTo is an observer that writes a record for every event: at level Debug
// for results that are accepted, Warn for retries, Error for calls that end
// with an error. Nil means slog.Default at the time of the event.
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
		attrs := append(make([]slog.Attr, 0, 8),
			slog.String("method", e.Method),
			slog.Int("attempt", e.Number),
			slog.String("verdict", string(e.Verdict)),
			slog.Duration("elapsed", e.Elapsed()),
		)
		if e.Err != nil {
			attrs = append(attrs, slog.String("reason", e.Err.Error()))
		}
		switch e.Decision {
		case Retry:
			attrs = append(attrs, slog.Duration("wait", e.Wait), slog.Bool("on_server", e.OnServer))
		case GiveUp:
			attrs = append(attrs, slog.String("stop", string(e.Stop)))
		}
		logger.LogAttrs(ctx, level, e.message(), attrs...)
	}
}

func (e *Event) level() slog.Level {
	switch e.Decision {
	case Accept:
		return slog.LevelDebug
	case Retry:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}

func (e *Event) message() string {
	switch e.Decision {
	case Accept:
		return "attempt accepted"
	case Retry:
		return "attempt " + string(e.Verdict) + ", retrying"
	default:
		return "attempt " + string(e.Verdict) + ", giving up"
	}
}
