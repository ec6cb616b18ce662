package activity

import (
	"context"
	"log/slog"
	"slices"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/retrypolicy"
)

// Info is what Temporal knows about the running activity.
type Info = activity.Info

// ErrResultPending is returned by a method whose result somebody else will report.
// The attempt then goes on until [Handle.Complete] or [Handle.Fail], which are judged
// as a return of the method would be, or until its time is over.
var ErrResultPending = activity.ErrResultPending //nolint:gochecknoglobals // Temporal compares it by identity

// IsActivity reports whether ctx is that of an activity on a worker or in a test
// environment, and not of a call in this process.
func IsActivity(ctx context.Context) bool { return activity.IsActivity(ctx) }

// GetInfo returns Temporal's information about the running activity, or the zero
// Info in an in-process call. Info.Attempt is the number of the server attempt; for
// how many times this call's body was started use [AttemptNumber].
func GetInfo(ctx context.Context) Info {
	if !IsActivity(ctx) {
		return Info{}
	}
	return activity.GetInfo(ctx)
}

// GetLogger returns the worker's logger with the activity's fields, or slog's
// default logger in an in-process call.
func GetLogger(ctx context.Context) log.Logger {
	if !IsActivity(ctx) {
		return log.NewStructuredLogger(slog.Default())
	}
	return activity.GetLogger(ctx)
}

// GetClient returns the worker's Temporal client, or nil in an in-process call.
func GetClient(ctx context.Context) client.Client {
	if !IsActivity(ctx) {
		return nil
	}
	return activity.GetClient(ctx)
}

// RecordHeartbeat reports to Temporal that the method is alive, and keeps details
// for later attempts. It ends the engine's automatic heartbeats for this
// attempt. It does nothing in a call in this process.
func RecordHeartbeat(ctx context.Context, details ...any) {
	if IsActivity(ctx) {
		activity.RecordHeartbeat(ctx, details...)
	}
}

// HasHeartbeatDetails reports whether an earlier attempt left details.
func HasHeartbeatDetails(ctx context.Context) bool {
	return IsActivity(ctx) && activity.HasHeartbeatDetails(ctx)
}

// GetHeartbeatDetails decodes the details an earlier attempt left, an error
// if there are none.
func GetHeartbeatDetails(ctx context.Context, details ...any) error {
	if !IsActivity(ctx) {
		return temporal.ErrNoData
	}
	return activity.GetHeartbeatDetails(ctx, details...)
}

// AttemptNumber returns the number of the running attempt of the call, from 1, over
// all workers. It is 1 outside a method, and where no policy governs the method.
func AttemptNumber(ctx context.Context) int { return max(engine.Number(ctx), 1) }

// GetMetricsHandler returns the worker's metrics handler with the activity's tags.
// In an in-process call it returns one that drops everything.
func GetMetricsHandler(ctx context.Context) client.MetricsHandler {
	if !IsActivity(ctx) {
		return client.MetricsNopHandler
	}
	return activity.GetMetricsHandler(ctx)
}

// GetWorkerStopChannel returns a channel that is closed when the worker begins to
// stop, or nil in an in-process call.
func GetWorkerStopChannel(ctx context.Context) <-chan struct{} {
	if !IsActivity(ctx) {
		return nil
	}
	return activity.GetWorkerStopChannel(ctx)
}

// Previous returns the outcomes of the call's earlier attempts, in order. It is
// empty in the first attempt. Use it inside a method, for instance to tell a service
// what was wrong with its last answer.
func Previous(ctx context.Context) []retrypolicy.Outcome { return engine.Previous(ctx) }

// LastRefusal returns the newest earlier result that a validator refused, and the
// validator's reason. ok is false if there is none, or if it was too large to keep.
func LastRefusal[Out any](ctx context.Context) (result Out, reason string, ok bool) {
	for _, o := range slices.Backward(Previous(ctx)) {
		if o.Verdict == retrypolicy.VerdictRefused {
			result, err := retrypolicy.ResultOf[Out](o)
			return result, o.Reason, err == nil
		}
	}
	return result, "", false
}
