package activityhost

import (
	"context"
	"errors"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/retrypolicy"
)

// askAfter is how long the server may have been silent before it is asked once
// more whether it still wants the call: of one that was canceled meanwhile, a
// hand-back would make a failure.
const askAfter = time.Second

// handBack hands the call to the server, which makes the next server attempt after
// delay; cause is why.
func (e *execution) handBack(ctx context.Context, cause error, delay time.Duration) error {
	if !e.caller(ctx).allows(cause) { // the caller's own options end the call here
		d := engine.Decision{Err: cause, Verdict: retrypolicy.VerdictFailed}
		if _, ok := cause.(*failure.RefusedError); ok { //nolint:errorlint // never wrapped
			d.Verdict = retrypolicy.VerdictRefused
		}
		j := e.heart.view()
		return e.end(ctx, e.spec.End(&j, d, retrypolicy.StopCaller, "").Err)
	}
	return e.handBackAs(ctx, failure.HandBack(cause, delay))
}

// handBackAs ends this server attempt with failure, and hands the journal over with
// it, in one request: the server does both or nothing, and what else of this
// server attempt is still on its way comes too late. It returns what the server
// attempt returns.
func (e *execution) handBackAs(ctx context.Context, failure error) error {
	server := e.heart.to(ctx)
	if server == nil { // a test environment
		_ = e.heart.record(ctx)
		return failure
	}
	if ctx.Err() == nil && e.heart.fit() && e.heart.silence() > askAfter {
		switch err := e.heart.record(ctx); {
		case temporal.IsCanceledError(err):
			return e.endCanceled(ctx)
		case errors.Is(err, activity.ErrActivityReset):
			e.noteReset()
		case isGone(err):
			return failure // nobody listens any more
		}
	}
	if wasReset(ctx) {
		e.noteReset()
	}
	if err := e.sendHandBack(ctx, server, failure); err != nil {
		e.out.Next.GetLogger(ctx).Warn("A call could not be handed back to the server, which waits for its heartbeat timeout now.", "Error", err)
	}
	return activity.ErrResultPending
}

// noteReset makes the next server attempt the first of a new budget.
func (e *execution) noteReset() {
	e.heart.change(func(j *engine.Journal) { j.ResetTo = e.afterReset() })
}

// sendHandBack sends a hand-back until the server answers. To send it again does no harm:
// the server takes the first.
func (e *execution) sendHandBack(ctx context.Context, server *requests, failure error) error {
	err := persist(ctx, func(ctx context.Context) error {
		f, details, err := e.packed(ctx, server, failure)
		if err != nil {
			return err
		}
		request, cancel := context.WithTimeout(ctx, recordTimeout/3)
		defer cancel()
		return server.fail(request, f, details)
	})
	if err != nil && !isRefused(err) {
		return errors.Join(err, e.deliverWithout(ctx, server))
	}
	return err
}

// endCanceled is what a server attempt returns that has heard of the call's
// cancellation. The SDK may not have, whose own request got lost.
func (e *execution) endCanceled(ctx context.Context) error {
	if e.canceled(ctx) {
		return e.canceledWith(ctx, ctx.Err()) // the SDK makes a cancellation of it
	}
	server := e.heart.to(ctx)
	if server == nil {
		return temporal.NewCanceledError()
	}
	if err := persist(ctx, server.cancel); err != nil {
		e.out.Next.GetLogger(ctx).Warn("The end of a canceled call could not be told to the server, which waits for its heartbeat timeout now.", "Error", err)
	}
	return activity.ErrResultPending
}

// persist sends a request until the server answers, for recordTimeout.
func persist(ctx context.Context, send func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := send(ctx)
		switch {
		case err == nil || isGone(err):
			return nil
		case isRefused(err):
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// packed is a hand-back as it travels.
func (e *execution) packed(ctx context.Context, server *requests, failure error) (*failurepb.Failure, *commonpb.Payloads, error) {
	h := &e.heart
	h.mu.Lock()
	user := h.user
	h.mu.Unlock()
	details, err := server.details(ctx, user, h.view())
	if _, ok := errors.AsType[*sizeError](err); ok { // the method's own are lost
		details, err = server.details(ctx, nil, h.view())
	}
	if err != nil {
		return nil, nil, err
	}
	f, err := server.encodedFailure(failure)
	return f, details, err
}

// deliverWithout is the last try to hand a call back, where it was its encoding
// that failed: the next server attempt learns that there was a body.
func (e *execution) deliverWithout(ctx context.Context, server *requests) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout/3)
	defer cancel()
	failure := temporal.NewApplicationErrorWithOptions("the call's journal could not be sent", failure.UnrecordedType, temporal.ApplicationErrorOptions{
		Category: temporal.ApplicationErrorCategoryBenign,
	})
	return server.fail(ctx, temporal.GetDefaultFailureConverter().ErrorToFailure(failure), nil)
}

// pending is what a server attempt returns whose method has: somebody else reports
// how the attempt ends, perhaps without the engine. The journal says so.
func (e *execution) pending(ctx context.Context) error {
	e.heart.change(func(j *engine.Journal) { j.Pending = true })
	if !e.info.IsLocalActivity && e.spec.Retry.Attempts() > 1 {
		if err := e.heart.record(ctx); err != nil {
			e.out.Next.GetLogger(ctx).Warn("The journal of a call whose result is pending could not be recorded.", "Error", err)
		}
	}
	return activity.ErrResultPending
}

// notStarted is what a server attempt returns that may not start its next body:
// err forbids it. The journal takes the start back.
func (e *execution) notStarted(ctx context.Context, err, last error) error {
	e.heart.takeBack()
	return e.unstarted(ctx, err, last)
}

// unstarted is what a server attempt returns that is told not to start a body.
func (e *execution) unstarted(ctx context.Context, err, last error) error {
	if temporal.IsCanceledError(err) {
		return e.endCanceled(ctx)
	}
	if last == nil {
		last = e.lastBefore(err)
	}
	if isGone(err) {
		return failure.HandBack(last, 0) // nobody listens any more
	}
	return e.handBack(ctx, last, 0)
}

// lastBefore is the failure of a server attempt that has started no body because of
// err: what the attempt before it ended with, if there was one.
func (e *execution) lastBefore(err error) error {
	j := e.heart.view()
	switch {
	case j.Started > 0:
		last, _ := e.spec.LastKnown(&j, nil)
		return last
	case e.needs.Limiter != nil && e.needs.Acquires():
		return &failure.LimitError{Method: e.spec.Method, Err: err}
	default:
		return &failure.UnstartedError{Method: e.spec.Method, Err: err}
	}
}

// end is what a server attempt returns that ends the call with err.
func (e *execution) end(ctx context.Context, err error) error {
	return e.conclude(ctx, failure.Final(err, e.trail()))
}

// conclude is answer, unless the SDK would not send it as it is: a panic without
// its stack; and once the worker has stopped, nothing that has details.
func (e *execution) conclude(ctx context.Context, answer error) error {
	app, ok := answer.(*temporal.ApplicationError) //nolint:errorlint // the engine's own
	server := (*requests)(nil)
	if ok && (app.Type() == failure.PanicType || ctx.Err() != nil) && !e.info.IsLocalActivity {
		server = e.heart.to(ctx)
	}
	if server == nil {
		return answer
	}
	f, err := server.panicked(app)
	if app.Type() != failure.PanicType {
		f, err = server.encodedFailure(answer)
	}
	if err != nil {
		return answer
	}
	e.out.GetLogger(ctx).Error("Activity error.", "Error", answer)
	e.out.Next.GetMetricsHandler(ctx).WithTags(map[string]string{"failure_reason": "ActivityError"}).Counter("temporal_activity_execution_failed").Inc(1)
	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout/3)
	defer cancel()
	if err := server.fail(request, f, nil); err != nil && !isGone(err) {
		return answer
	}
	return activity.ErrResultPending
}
