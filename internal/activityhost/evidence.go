package activityhost

import (
	"context"
	"strings"
	"time"

	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
)

// unrecorded finds out what is known of server attempts before this one that left
// no record. It asks the server only where something was lost.
func (e *execution) unrecorded(ctx context.Context, found *engine.Journal) engine.Unrecorded {
	e.recordsStart = e.host.Simulated == Real
	info := &e.info
	switch {
	case found == nil && info.ScheduledTime.Before(e.host.AdoptBefore):
		return engine.Unrecorded{None: true}
	case found != nil && (found.Running == 0 || found.ServerAttempt != info.Attempt-1):
		return engine.Unrecorded{}
	}
	server := e.heart.to(ctx)
	if server == nil {
		return engine.Unrecorded{}
	}
	f, at := server.lastEnd(ctx)
	app := f.GetApplicationFailureInfo()
	if app == nil || app.GetType() == failure.UnrecordedType { // a timeout; or nobody knows
		return engine.Unrecorded{Reason: timeoutReason(f)}
	}
	if found == nil && isBeforeTheBody(app.GetType(), f.GetMessage()) {
		return engine.Unrecorded{None: tooSoonForTimeout(info, at)}
	}
	err := server.failure.FailureToError(f)
	reason, err := failure.TextOf(err)
	if unencodable(app.GetType(), f.GetMessage()) {
		err = retrypolicy.Permanent(err)
	}
	e.reported = err
	return engine.Unrecorded{Ended: &retrypolicy.Outcome{Verdict: retrypolicy.VerdictFailed, Reason: wire.Cut(reason, wire.MaxReason), ErrorType: app.GetType()}}
}

// tooSoonForTimeout reports whether none of the server attempts before this one can
// have been lost, the last of which has ended at a time: the server would have had
// to wait for a timeout to notice, beside the waits between them, which are at least
// those of the caller's policy, or of the engine's own.
func tooSoonForTimeout(info *activity.Info, last time.Time) bool {
	if info.Attempt <= 2 {
		return true // there is but the last
	}
	shortest := info.StartToCloseTimeout
	if h := info.HeartbeatTimeout; h > 0 && (shortest <= 0 || h < shortest) {
		shortest = h
	}
	if last.Before(info.ScheduledTime) { // the server does not tell
		last = info.StartedTime
	}
	return shortest > 0 && last.Sub(info.ScheduledTime)-leastWaits(info.RetryPolicy, info.Attempt-2) < shortest
}

// leastWaits is how long n waits between server attempts have taken, at least.
func leastWaits(p *temporal.RetryPolicy, n int32) (sum time.Duration) {
	if p == nil {
		return 0
	}
	next := float64(p.InitialInterval)
	for range min(n, mostWaits) {
		wait := min(time.Duration(next), failure.UnstartableDelay)
		if p.MaximumInterval > 0 {
			wait = min(wait, p.MaximumInterval)
		}
		sum += wait
		if next < float64(failure.UnstartableDelay) {
			next *= max(p.BackoffCoefficient, 1)
		}
	}
	return sum
}

// mostWaits bounds what is added up.
const mostWaits = 1000

// isBeforeTheBody reports whether a failure is one of a server attempt that has
// started no body: its worker did not know the activity type, or could not decode
// the arguments, or what an engine found of earlier attempts.
func isBeforeTheBody(errType, message string) bool {
	switch errType {
	case "ActivityNotRegisteredError", failure.UnreadableType:
		return true
	case failure.FailureOfSDK:
		return strings.HasPrefix(message, "unable to decode the activity function input payload")
	default:
		return false
	}
}

// unencodable reports whether a failure is of a result that no converter of the
// client's can ever encode.
func unencodable(errType, message string) bool {
	return errType == failure.FailureOfSDK && strings.HasPrefix(message, "values[") && strings.Contains(message, converter.ErrUnableToEncode.Error())
}

// timeoutReason is what is known of an attempt that a timeout has ended.
func timeoutReason(f *failurepb.Failure) string {
	if f.GetTimeoutFailureInfo() == nil {
		return ""
	}
	return failure.LostReason + " (" + f.GetMessage() + ")"
}
