package attempt

import (
	"context"
	"strings"

	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"

	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
)

// unrecorded finds out what is known of server attempts before this one that left
// no record. It asks the server only where something was lost.
func (e *execution) unrecorded(ctx context.Context, found *Journal) Unrecorded {
	e.recordsStart = e.host.Simulated == Real
	info := &e.info
	switch {
	case found == nil && info.ScheduledTime.Before(e.host.AdoptBefore):
		return Unrecorded{None: true}
	case found != nil && (found.Running == 0 || found.ServerAttempt != info.Attempt-1):
		return Unrecorded{}
	}
	server := e.heart.to(ctx)
	if server == nil {
		return Unrecorded{}
	}
	f := server.lastFailure(ctx)
	app := f.GetApplicationFailureInfo()
	if app == nil || app.GetType() == UnrecordedType { // a timeout; or nobody knows
		return Unrecorded{Reason: timeoutReason(f)}
	}
	if found == nil && isBeforeTheBody(app.GetType(), f.GetMessage()) {
		return Unrecorded{None: info.Attempt == 2 || tooSoonForTimeout(info)}
	}
	err := server.failure.FailureToError(f)
	reason, err := textOf(err)
	if unencodable(app.GetType(), f.GetMessage()) {
		err = retrypolicy.Permanent(err)
	}
	e.reported = err
	return Unrecorded{Ended: &retrypolicy.Outcome{Verdict: retrypolicy.Failed, Reason: wire.Cut(reason, wire.MaxReason), ErrorType: app.GetType()}}
}

// tooSoonForTimeout reports whether no server attempt before this one can have
// been lost: the server would have had to wait for a timeout to notice.
func tooSoonForTimeout(info *activity.Info) bool {
	shortest := info.StartToCloseTimeout
	if h := info.HeartbeatTimeout; h > 0 && (shortest <= 0 || h < shortest) {
		shortest = h
	}
	return shortest > 0 && info.StartedTime.Sub(info.ScheduledTime) < shortest
}

// isBeforeTheBody reports whether a failure is one of a server attempt that has
// started no body: its worker did not know the activity type, or could not decode
// the arguments, or what an engine found of earlier attempts.
func isBeforeTheBody(errType, message string) bool {
	switch errType {
	case "ActivityNotRegisteredError", UnreadableType:
		return true
	case FailureOfSDK:
		return strings.HasPrefix(message, "unable to decode the activity function input payload")
	default:
		return false
	}
}

// unencodable reports whether a failure is of a result that no converter of the
// client's can ever encode.
func unencodable(errType, message string) bool {
	return errType == FailureOfSDK && strings.HasPrefix(message, "values[") && strings.Contains(message, converter.ErrUnableToEncode.Error())
}

// timeoutReason is what is known of an attempt that a timeout has ended.
func timeoutReason(f *failurepb.Failure) string {
	if f.GetTimeoutFailureInfo() == nil {
		return ""
	}
	return lostReason + " (" + f.GetMessage() + ")"
}
