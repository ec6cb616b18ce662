package activity

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/retry"
	"github.com/concurry-go/concurry/retrypolicy"
)

// ExecuteLocal starts the method as a local activity: on the workflow's own
// worker, which must have it registered, and without a task queue's round trip.
// It never blocks; the future has the result, or the error of options that are
// wrong.
//
// The whole call happens in place, waits included, whatever Policy.InPlace says,
// and nothing of it is kept until it ends: a call whose worker dies starts over
// on another, with all its retries. NumRetries+1 thus bounds the bodies started on
// one worker, not those of the call, and Previous knows this worker's only.
//
// It is meant for calls that are short in total. While one runs, the worker
// holds the workflow task; a call longer than the workflow task's timeout (10
// seconds by default) makes the worker extend it again and again, which costs
// events of the workflow's history and delays its signals and updates.
//
// Cancelling ctx ends the call at once, also a body that ignores its context.
// Heartbeats do nothing, and there are no tickets. Limits bound it as they bound
// other calls on its worker, and it waits for them as long as it can; those of a
// session, whose activities run elsewhere, are an error. CallTimeout bounds the call;
// without one the sum of all AttemptTimeouts and longest waits does. Of
// CallOptions, ID and TaskQueue have no meaning here.
//
// Errors are the method's own as a *temporal.ApplicationError, without the
// *temporal.ActivityError that Execute has around them.
func (h Handle[In, Out]) ExecuteLocal(ctx workflow.Context, in In) Future[Out] {
	p, err := h.plan(false)
	if err != nil {
		return failing[Out](ctx, err)
	}
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		ScheduleToCloseTimeout: p.options.CallTimeout,
		StartToCloseTimeout:    p.localTimeout(),
		// The engine's attempts are all there are; the type tells it that this is ours.
		RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1, NonRetryableErrorTypes: []string{failure.FailureOfSize}},
		Summary:     h.call.Summary,
	})
	return launch[Out](ctx, p, func(ctx workflow.Context) workflow.Future {
		return workflow.ExecuteLocalActivity(ctx, p.activityType, pack(in)...)
	})
}

// localTimeout bounds a whole call in place: by CallTimeout, else by the time
// that all attempts can take, a second for each to be abandoned, and all waits
// at their longest.
func (m *method) localTimeout() time.Duration {
	switch {
	case !m.spec.Governs():
		return m.startToClose()
	case m.options.CallTimeout > 0:
		return m.options.CallTimeout
	}
	policy := &m.options.Retry
	each := m.options.AttemptTimeout + time.Second + retry.LongestCeiling(policy)
	return time.Duration(min(float64(policy.Attempts())*float64(each), float64(retrypolicy.MaxDuration)))
}
