package activityhost

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/limitengine"
	"github.com/concurry-go/concurry/internal/retry"
	"github.com/concurry-go/concurry/internal/slots"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
)

// acquire takes what the next attempt requires. ok is false where the server
// attempt ends here instead, with err.
func (e *execution) acquire(ctx context.Context, last error) (ok bool, err error) {
	l := &e.spec.Limits
	if l.Source == nil {
		return true, nil
	}
	if e.needs.Limiter == nil {
		e.needs, err = l.Resolve(e.Args(), func(d *limits.Declaration) (limits.Sets, error) {
			return e.host.sets.open(d, e.spec.Session, e.host.limitClock())
		})
		if err != nil {
			return false, e.endUnopened(ctx, err)
		}
		follows := e.host.follow(l.Source)
		e.needs.Stays = e.info.IsLocalActivity || e.host.Simulated == SimulatedActivity || !follows
		if e.queues() {
			e.needs.Since = e.host.line.enter(e)
		}
	}
	if !e.needs.Acquires() {
		if e.lease, err = e.needs.Engine().OpenLease(); err != nil {
			return false, e.endWaiting(ctx, err, last)
		}
		return true, nil
	}
	how := engine.ChargeFor(e.heart.started())
	e.lease, err = e.needs.Engine().TryAcquire(e.needs.Units, how)
	switch {
	case err == nil:
		if e.queues() {
			e.host.line.leave(e)
		}
		return true, nil
	case !errors.Is(err, limits.ErrNoRoom):
		return false, e.endWaiting(ctx, err, last)
	}
	return e.await(ctx, how, last)
}

// await waits for the limits: as long as a wait in place may be, heartbeating,
// and then the server does.
func (e *execution) await(ctx context.Context, how limitengine.Charge, last error) (ok bool, err error) {
	stays := e.needs.Stays
	if !stays && e.host.Simulated == Real {
		// From here on a crash does not count, and the server knows that the
		// worker is alive.
		if err := e.heart.record(ctx); err != nil {
			return false, e.unstarted(ctx, err, last)
		}
	}
	started := time.Now()
	bound, until := e.patience(ctx, stays)
	if bound < 0 {
		e.lease, err = e.lookAt(ctx, how, until)
	} else {
		e.lease, err = e.waitForLimits(ctx, how, bound, until)
	}
	e.out.Next.GetMetricsHandler(ctx).Timer(MetricLimitWait).Record(time.Since(started))
	switch {
	case err == nil && e.tooLate():
		e.lease.Undo()
		err = &limits.WaitError{Err: engine.ErrMaxElapsed}
	case err == nil:
		return true, nil
	case ctx.Err() != nil && e.canceled(ctx):
		return false, e.canceledWith(ctx, ctx.Err())
	case errors.Is(err, engine.ErrServerWaits) && e.caller(ctx).allows(&failure.LimitError{Method: e.spec.Method, Err: err}) || ctx.Err() != nil:
		return false, e.handBackForLimits(ctx, err, last)
	}
	return false, e.endWaiting(ctx, err, last)
}

// tooLate reports whether MaxElapsed is over on the clock of a test, which waits
// move.
func (e *execution) tooLate() bool {
	most := e.spec.Retry.MaxElapsed
	return e.host.Simulated != Real && most > 0 && e.heart.started() > 0 && e.Elapsed() > most
}

// patience is how long to wait here for the limits, and why no longer; 0 is
// without bound, and less not at all.
func (e *execution) patience(ctx context.Context, stays bool) (bound time.Duration, until error) {
	bound, until = e.longest(ctx, stays)
	if left, bounded := e.elapsedLeft(); bounded {
		atServer := errors.Is(until, engine.ErrServerWaits) && e.host.Simulated == Real
		if bound == 0 || left < bound || atServer && left <= max(bound, 0)+limitBackoff { // the server could not bring it back in time
			return left, engine.ErrMaxElapsed
		}
	}
	return bound, until
}

// elapsedLeft is what MaxElapsed leaves a retry, if it bounds it.
func (e *execution) elapsedLeft() (left time.Duration, bounded bool) {
	most := e.spec.Retry.MaxElapsed
	if most <= 0 || e.heart.started() == 0 {
		return 0, false
	}
	return max(most-e.Elapsed(), 1), true
}

func (e *execution) longest(ctx context.Context, stays bool) (bound time.Duration, until error) {
	now := time.Now()
	left := func(until time.Time) time.Duration { return max(until.Sub(now)-e.spec.AttemptTimeout, 1) }
	switch {
	case stays && !e.call.IsZero():
		return left(e.call), engine.ErrCallEnds
	case stays:
		return 0, nil
	case e.host.Simulated == SimulatedWorkflow:
		return -1, engine.ErrServerWaits // the environment's clock does not move while activities run
	}
	place := time.Hour
	if !e.place.IsZero() {
		place = max(e.place.Sub(now), 1)
	}
	bound = retry.InPlaceWait(&e.spec.Retry)
	if !e.call.IsZero() {
		if call := max(e.call.Sub(now), 1); call <= bound+limitBackoff { // the server could not bring it back in time
			return min(call, place), engine.ErrCallEnds
		}
	}
	if !e.caller(ctx).allows(&failure.LimitError{Method: e.spec.Method, Err: engine.ErrServerWaits}) {
		return place, engine.ErrPlaceEnds
	}
	if !e.place.IsZero() {
		bound = min(bound, left(e.place))
	}
	if bound == 0 {
		bound = -1
	}
	return bound, engine.ErrServerWaits
}

// waitForLimits waits in the queue, until ctx or the worker ends, or bound has
// passed, which is until.
func (e *execution) waitForLimits(ctx context.Context, how limitengine.Charge, bound time.Duration, until error) (limits.Lease, error) {
	if !e.info.IsLocalActivity && e.host.Simulated == Real {
		manner := slots.Must
		if errors.Is(until, engine.ErrServerWaits) {
			manner = slots.Leaves
		}
		wait := e.host.slotsOf(&e.info).Wait(manner)
		if wait == nil {
			return e.lookAt(ctx, how, until)
		}
		defer wait.End()
		stopping, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		stop := e.out.Next.GetWorkerStopChannel(ctx)
		go func() {
			select {
			case <-stop:
				cancel(engine.ErrServerWaits)
			case <-wait.Leave():
				cancel(engine.ErrServerWaits)
			case <-stopping.Done():
			}
		}()
		ctx = stopping
	}
	if bound > 0 {
		timed, cancel := context.WithTimeoutCause(ctx, bound, until)
		defer cancel()
		ctx = timed
	}
	return e.needs.Engine().Acquire(ctx, e.needs.Units, how)
}

// lookAt is a request that does not wait, because of until; its error says what
// there was no room in.
func (e *execution) lookAt(ctx context.Context, how limitengine.Charge, until error) (limits.Lease, error) {
	over, cancel := context.WithCancelCause(ctx)
	cancel(until)
	return e.needs.Engine().Acquire(over, e.needs.Units, how)
}

// release ends what the attempt holds, and what its body has acquired itself
// and not released.
func (e *execution) release() {
	if e.endLimits != nil {
		e.endLimits()
		e.endLimits = nil
	}
	e.lease.Release()
	e.lease = limits.Lease{}
}

// limitBackoff is the first wait on the server for limits; it doubles up to
// maxLimitBackoff, spread by half.
const (
	limitBackoff    = time.Second
	maxLimitBackoff = 16 * time.Second
)

// handBackForLimits hands a call that waits for limits to the server, without counting an
// attempt. Its failure is what the call ends with, should the server find that
// there is no time to go on. It comes back soon, however long the wait in place
// was to be: what cut that off may be its worker's end, and another has room.
func (e *execution) handBackForLimits(ctx context.Context, cause, last error) error {
	delay := e.pause(cause)
	e.out.Next.GetMetricsHandler(ctx).Counter(MetricLimitHandBacks).Inc(1)
	j := e.heart.view()
	if j.Started == 0 {
		return e.handBackAs(ctx, failure.HandBack(&failure.LimitError{Method: e.spec.Method, Err: cause}, delay))
	}
	stopped := e.spec.Stopped(&j, retrypolicy.StopLimits, cause.Error())
	if last == nil { // that was in another server attempt
		last, _ = e.spec.LastKnown(&j, nil)
	}
	return e.handBackAs(ctx, failure.HandBackWith(last, stopped, delay))
}

// pause is how long the call waits on the server until it looks at the limits
// again; cause is why it has no units.
func (e *execution) pause(cause error) time.Duration {
	before := e.heart.countLimitWait()
	if e.queues() {
		return e.simulatedPause(cause, before)
	}
	ceiling := min(limitBackoff<<min(before, 10), maxLimitBackoff)
	delay := ceiling/2 + time.Duration(e.host.Clock.Random(int64(ceiling/2)))
	if !e.call.IsZero() && time.Until(e.call) <= delay { // the server would not begin such a wait
		delay = max(time.Until(e.call)/2, time.Millisecond)
	}
	if left, bounded := e.elapsedLeft(); bounded && left <= delay { // to end here, and say what it waited for
		delay = max(left/2, time.Millisecond)
	}
	return delay
}

// endWaiting is the end of a call that gets no units, since it has waited for
// them as long as it could, or there never will be any: with its last outcome, if
// there is one.
func (e *execution) endWaiting(ctx context.Context, waited, last error) error {
	if e.failsWithSession(waited) {
		return activity.ErrResultPending
	}
	e.countGiveUp(ctx, retrypolicy.StopLimits)
	j := e.heart.view()
	stopped := e.spec.Stopped(&j, retrypolicy.StopLimits, waited.Error())
	switch {
	case j.Started == 0 && engine.IsWait(waited):
		stopped.Detail, stopped.Err = "", &failure.LimitError{Method: e.spec.Method, Err: waited}
	case j.Started == 0:
		return e.end(ctx, e.spec.Named(waited))
	case engine.LastRefused(&j):
		return e.end(ctx, e.spec.Refusals(&j, stopped))
	case last == nil: // that was in another server attempt
		return e.end(ctx, e.spec.Known(&j, stopped))
	default:
		stopped.Err = last
	}
	return e.end(ctx, stopped)
}

// endUnopened is the end of a call whose limits cannot be found.
func (e *execution) endUnopened(ctx context.Context, err error) error {
	if e.failsWithSession(err) {
		return activity.ErrResultPending
	}
	return e.end(ctx, e.spec.Named(err))
}

// failsWithSession reports whether a call has no limits since its session has failed
// on this worker. The workflow will hear so from the session, which cancels the
// call; an answer could come first and be taken for the method's own.
func (e *execution) failsWithSession(err error) bool {
	return errors.Is(err, errSessionOver) && e.host.sets.hasFailed(e.spec.Session)
}
