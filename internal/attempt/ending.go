package attempt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

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

// allows tells whether the server will start another server attempt after
// cause.
func (p callerPolicy) allows(cause error) bool {
	if p.policy == nil {
		return true
	}
	return (p.policy.MaximumAttempts <= 0 || p.attempt < p.policy.MaximumAttempts) && !slices.Contains(p.policy.NonRetryableErrorTypes, handBackType(cause))
}

// caller is the caller's policy. An activity that was reset goes on whatever it
// says.
func (e *execution) caller(ctx context.Context) callerPolicy {
	if wasReset(ctx) {
		return callerPolicy{}
	}
	return callerPolicy{e.info.RetryPolicy, e.info.Attempt}
}

// handOver gives the call to the server: the journal goes first.
func (e *execution) handOver(ctx context.Context, cause error, delay time.Duration) error {
	if !e.caller(ctx).allows(cause) { // the caller's own options end the call here
		d := Decision{Err: cause, Verdict: retrypolicy.Failed}
		if _, ok := cause.(*refusedError); ok { //nolint:errorlint // never wrapped
			d.Verdict = retrypolicy.Refused
		}
		return final(e.spec.end(&e.heart.journal, d, retrypolicy.StopCaller, "").Err)
	}
	if canceled := e.leave(ctx, "The journal of a call could not be recorded; the attempts of this server attempt count as lost."); canceled != nil {
		return canceled
	}
	return handBack(cause, delay)
}

// leave records the journal before the server takes the call over. An error says
// that the call was canceled instead: the server would make no other attempt, and
// end it with the hand-back's error. lost is what there is to log where the
// record fails.
func (e *execution) leave(ctx context.Context, lost string) error {
	err := e.recordLast(ctx)
	switch {
	case temporal.IsCanceledError(err) && ctx.Err() != nil:
		return ctx.Err() // the SDK makes a cancellation of it
	case err != nil && !isVerdict(err): // with a verdict the record has been taken all the same
		e.out.Next.GetLogger(ctx).Warn(lost, "Error", err)
	}
	return nil
}

// recordLast records the journal for the next server attempt, and that the
// activity was reset if that is the answer.
func (e *execution) recordLast(ctx context.Context) error {
	if wasReset(ctx) {
		return e.recordReset(ctx)
	}
	err := e.heart.record(ctx)
	if errors.Is(err, activity.ErrActivityReset) {
		return e.recordReset(ctx)
	}
	return err
}

func (e *execution) recordReset(ctx context.Context) error {
	h := &e.heart
	h.mu.Lock()
	h.journal.ResetTo = e.afterReset()
	h.mu.Unlock()
	return h.record(ctx)
}

// cutOff is what a server attempt returns whose body the end of its context
// has ended, unless that was the attempt's own timeout.
func (e *execution) cutOff(ctx context.Context, err error, a retrypolicy.Attempt) error {
	if e.canceled(ctx) {
		e.tellCanceled(ctx, err, a)
		if !isContextError(err) {
			err = final(err)
		}
		return e.canceledWith(ctx, err)
	}
	cause := fmt.Errorf("attempt %d was cut off: %w", a.Number, context.Cause(ctx))
	h := &e.heart
	h.mu.Lock()
	j := &h.journal
	j.lose(j.Running)
	j.Running = 0
	h.mu.Unlock()
	var end error
	var stop retrypolicy.Stop
	switch {
	case wasReset(ctx): // the call starts over
	case !e.caller(ctx).allows(cause):
		stop = retrypolicy.StopCaller
	default:
		stop, end = e.spec.Resume(j, e.Elapsed(), true, &e.host.Clock)
	}
	e.tell(ctx, lostEvent(a, cause, stop))
	if end != nil {
		return final(end)
	}
	return e.handOver(ctx, cause, 0)
}

// lostEvent is what is told of an attempt that left no outcome. stop is why
// there is no other one; empty if there is.
func lostEvent(a retrypolicy.Attempt, cause error, stop retrypolicy.Stop) retrypolicy.Event {
	event := retrypolicy.Event{Attempt: a, Verdict: retrypolicy.Lost, Err: cause, Decision: retrypolicy.Retry, OnServer: true}
	if stop != "" {
		event.Decision, event.OnServer, event.Stop = retrypolicy.GiveUp, false, stop
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

// refused is what a server attempt returns that may not start its next body:
// the record of that start was answered with err.
func (e *execution) refused(ctx context.Context, err error, last error) error {
	h := &e.heart
	h.mu.Lock()
	h.journal.Started--
	h.journal.Running = 0
	h.mu.Unlock()
	return e.unstarted(ctx, err, last)
}

// unstarted is what a server attempt returns that is told not to start a body.
func (e *execution) unstarted(ctx context.Context, err, last error) error {
	if last == nil {
		last = &limitError{err: err} // it has waited for limits
	}
	if isGone(err) {
		return handBack(last, 0) // nobody listens any more
	}
	// The server may have taken the record all the same, as it does when it
	// answers with a pause: the next one takes the start back.
	return e.handOver(ctx, last, 0)
}

// exited answers for a server attempt whose goroutine ends without returning,
// as runtime.Goexit makes it: the SDK would not answer at all. It runs
// deferred, so what it says goes by the client.
func (e *execution) exited(ctx context.Context) {
	e.release()
	if e.info.IsLocalActivity || e.host.Simulated != Real {
		return
	}
	answers := make(chan error, 1)
	go func() { // of its own, since observers may do the same
		answer := final(ErrGoexit)
		defer func() { answers <- answer }()
		n := e.heart.journal.Running
		if n == 0 {
			return // no body has: a filter, or an observer
		}
		_, answer = e.settle(ctx, n, nil, ErrGoexit, false)
	}()
	answer := <-answers
	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	_ = e.out.Next.GetClient(ctx).CompleteActivity(request, e.info.TaskToken, nil, answer)
}
