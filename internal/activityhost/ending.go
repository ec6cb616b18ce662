package activityhost

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/marks"
	"github.com/concurry-go/concurry/retrypolicy"
)

// canceled tells that ctx has ended for good: the server was asked to, or it
// is a local activity's, whose result nobody waits for any more.
func (e *execution) canceled(ctx context.Context) bool {
	return temporal.IsCanceledError(context.Cause(ctx)) || e.info.IsLocalActivity
}

// canceledWith is err as the end of a canceled call: never retried, never
// converted. For a local activity the SDK says what it was, unless it hears
// from us at the same moment: then it must be the same.
func (e *execution) canceledWith(ctx context.Context, err error) error {
	if e.info.IsLocalActivity && errors.Is(ctx.Err(), context.Canceled) {
		return temporal.NewCanceledError()
	}
	return err
}

// callerPolicy is the retry policy that the caller gave the server, as of one
// server attempt. The zero value allows everything.
type callerPolicy struct {
	policy  *temporal.RetryPolicy
	attempt int32
}

// allows reports whether the server will start another server attempt after
// cause.
func (p callerPolicy) allows(cause error) bool {
	if p.policy == nil {
		return true
	}
	return (p.policy.MaximumAttempts <= 0 || p.attempt < p.policy.MaximumAttempts) && !slices.Contains(p.policy.NonRetryableErrorTypes, failure.HandBackType(cause))
}

// caller is the caller's policy. An activity that was reset goes on whatever it
// says.
func (e *execution) caller(ctx context.Context) callerPolicy {
	if wasReset(ctx) {
		return callerPolicy{}
	}
	return callerPolicy{e.info.RetryPolicy, e.info.Attempt}
}

// cutOff is what a server attempt returns whose body the end of its context
// has ended, unless that was the attempt's own timeout.
func (e *execution) cutOff(ctx context.Context, err error, a retrypolicy.Attempt) error {
	if e.canceled(ctx) {
		e.tellCanceled(ctx, err, a)
		if !isContextError(err) {
			j := e.heart.view()
			stopped := e.spec.Stopped(&j, retrypolicy.StopCanceled, "")
			stopped.Err = marks.Unmark(err)
			err = e.end(ctx, stopped)
		}
		return e.canceledWith(ctx, err)
	}
	cause := fmt.Errorf("attempt %d was cut off: %w", a.Number, context.Cause(ctx))
	if e.spec.Session != "" && errors.Is(cause, worker.ErrWorkerShutdown) {
		// The session fails at this moment, and ends the call. What is said here
		// could come first, and be taken for the method's own.
		e.heart.lost("left no outcome: its session has failed with its worker")
		e.tell(ctx, lostEvent(a, cause, retrypolicy.StopCanceled))
		return activity.ErrResultPending
	}
	e.heart.lost("left no outcome: it was cut off: " + context.Cause(ctx).Error())
	var end error
	var stop retrypolicy.Stop
	switch {
	case wasReset(ctx): // the call starts over
	case !e.caller(ctx).allows(cause):
		stop = retrypolicy.StopCaller
	default:
		j := e.heart.view()
		stop, end = e.spec.Resume(&j, engine.Resumption{Elapsed: e.Elapsed(), Lost: true}, &e.host.Clock)
	}
	e.tell(ctx, lostEvent(a, cause, stop))
	if end != nil {
		return e.end(ctx, end)
	}
	return e.handBack(ctx, cause, 0)
}

// lostEvent is what is told of an attempt that left no outcome. stop is why
// there is no other one; empty if there is.
func lostEvent(a retrypolicy.Attempt, cause error, stop retrypolicy.Stop) retrypolicy.Event {
	event := retrypolicy.Event{Attempt: a, Verdict: retrypolicy.VerdictLost, Err: cause, Decision: retrypolicy.DecisionRetry, OnServer: true}
	if stop != "" {
		event.Decision, event.OnServer, event.Stop = retrypolicy.DecisionGiveUp, false, stop
	}
	return event
}

// wasReset tells that an operator reset the activity, which gives the call all
// its retries again.
func wasReset(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), activity.ErrActivityReset)
}

// afterReset is the server attempt that follows the one a reset finds running.
// For a workflow's activity the server sets the number to 1 at once, and the
// next is one more; a standalone one starts again with 1.
func (e *execution) afterReset() int32 {
	if e.info.IsWorkflowActivity() {
		return 2
	}
	return 1
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || temporal.IsCanceledError(err)
}

// exited answers for a server attempt whose goroutine ends without returning,
// as runtime.Goexit makes it: the SDK would not answer at all.
func (e *execution) exited(ctx context.Context) {
	e.release()
	if e.info.IsLocalActivity || e.heart.to(ctx) == nil {
		return
	}
	answers := make(chan error, 1)
	go func() { // of its own, since observers may do the same
		answer := failure.Final(failure.ErrGoexit, nil)
		defer func() { answers <- answer }()
		n := e.heart.running()
		if n == 0 {
			return // no body has: a filter, or an observer
		}
		_, answer = e.settle(ctx, n, nil, failure.ErrGoexit, false)
	}()
	answer := <-answers
	if answer == nil || answer == activity.ErrResultPending { //nolint:errorlint // as the SDK compares it
		return // it has been sent
	}
	f, err := e.heart.to(ctx).encodedFailure(answer)
	if err != nil {
		f = temporal.GetDefaultFailureConverter().ErrorToFailure(failure.Final(failure.ErrGoexit, nil))
	}
	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	_ = e.heart.to(ctx).fail(request, f, nil)
}
