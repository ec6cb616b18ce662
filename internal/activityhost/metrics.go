package activityhost

import (
	"context"
	"errors"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/retrypolicy"
)

// Names of the metrics that the engine counts in the activity's own metrics
// handler, which adds the activity type, the task queue and the namespace.
const (
	MetricAttempts        = "concurry_attempts"
	MetricAttemptsFailed  = "concurry_attempts_failed"
	MetricAttemptsRefused = "concurry_attempts_refused"
	MetricAttemptsLost    = "concurry_attempts_lost"
	MetricRetries         = "concurry_retries"
	MetricRetryWait       = "concurry_retry_wait"
	MetricGiveUps         = "concurry_give_ups"
	MetricLimitWait       = "concurry_limit_wait"
	MetricLimitHandBacks  = "concurry_limit_hand_backs"
	// TagStop is the tag of MetricGiveUps: a retrypolicy.Stop.
	TagStop = "stop"
)

// Names of the gauges of limits; see worker.LimitMetrics.
const (
	MetricLimitInUse       = "concurry_limit_in_use"
	MetricLimitUtilization = "concurry_limit_utilization"
	MetricLimitWaiting     = "concurry_limit_waiting"
	MetricLimitOldestWait  = "concurry_limit_oldest_wait"
)

// count notes an event in metrics. A call that succeeds at once costs one
// counter and no tags.
func count(m client.MetricsHandler, e *retrypolicy.Event) {
	m.Counter(MetricAttempts).Inc(1)
	switch e.Verdict {
	case retrypolicy.VerdictFailed:
		m.Counter(MetricAttemptsFailed).Inc(1)
	case retrypolicy.VerdictRefused:
		m.Counter(MetricAttemptsRefused).Inc(1)
	case retrypolicy.VerdictLost:
		m.Counter(MetricAttemptsLost).Inc(1)
	}
	switch e.Decision {
	case retrypolicy.DecisionRetry:
		m.Counter(MetricRetries).Inc(1)
		m.Timer(MetricRetryWait).Record(e.Wait)
	case retrypolicy.DecisionGiveUp:
		countGiveUp(m, e.Stop)
	}
}

func countGiveUp(m client.MetricsHandler, stop retrypolicy.Stop) {
	m.WithTags(map[string]string{TagStop: string(stop)}).Counter(MetricGiveUps).Inc(1)
}

// countGiveUp notes the end of a call that no attempt's event tells of.
func (e *execution) countGiveUp(ctx context.Context, stop retrypolicy.Stop) {
	countGiveUp(e.out.Next.GetMetricsHandler(ctx), stop)
}

// observed reports whether anybody but the metrics wants to know.
func (e *execution) observed() bool { return len(e.spec.Observers)+len(e.host.Observers) > 0 }

// tell notes an event in metrics, and tells the observers; without any, the
// worker's log has the retries, of which nothing else speaks.
func (e *execution) tell(ctx context.Context, event retrypolicy.Event) {
	count(e.out.Next.GetMetricsHandler(ctx), &event)
	if !e.observed() {
		e.logRetry(ctx, &event)
		return
	}
	event.Execution = e.identity()
	if event.Past == retrypolicy.Past(e) {
		event.Past = engine.Snapshot(e)
	}
	for _, observers := range [][]retrypolicy.Observer{e.spec.Observers, e.host.Observers} {
		if err := engine.Notify(ctx, observers, event); err != nil {
			e.out.Next.GetLogger(ctx).Error("An observer of attempts panicked.", "Error", err)
		}
	}
}

func (e *execution) logRetry(ctx context.Context, event *retrypolicy.Event) {
	if event.Decision != retrypolicy.DecisionRetry {
		return // the SDK logs an activity's end
	}
	log.With(e.out.Next.GetLogger(ctx), callAttempt, event.Number).Warn("Activity "+event.Message()+".",
		"Error", event.Err, "Wait", event.Wait, "OnServer", event.OnServer)
}

// identity is which activity it is.
func (e *execution) identity() retrypolicy.Execution {
	x := retrypolicy.Execution{
		WorkflowID: e.info.WorkflowExecution.ID, RunID: e.info.WorkflowExecution.RunID,
		ActivityID: e.info.ActivityID, ServerAttempt: e.info.Attempt,
	}
	if x.WorkflowID == "" {
		x.RunID = e.info.ActivityRunID
	}
	return x
}

// callAttempt is the field of a call's attempt beside the SDK's "Attempt", which
// counts server attempts.
const callAttempt = "CallAttempt"

// GetLogger implements interceptor.ActivityOutboundInterceptor.
func (o *outbound) GetLogger(ctx context.Context) log.Logger {
	logger := o.Next.GetLogger(ctx)
	if o.e.spec == nil {
		return logger
	}
	if n := o.e.heart.running(); n > 0 {
		return log.With(logger, callAttempt, n)
	}
	return logger
}

// accepted tells of a result that nobody had to judge.
func (e *execution) accepted(ctx context.Context, a retrypolicy.Attempt) {
	if !e.observed() {
		e.out.Next.GetMetricsHandler(ctx).Counter(MetricAttempts).Inc(1)
		return
	}
	e.tell(ctx, retrypolicy.Event{Attempt: a, Verdict: retrypolicy.VerdictAccepted, Decision: retrypolicy.DecisionAccept})
}

// tellCanceled tells of an attempt that a cancellation has ended.
func (e *execution) tellCanceled(ctx context.Context, err error, a retrypolicy.Attempt) {
	e.tell(ctx, retrypolicy.Event{Attempt: a, Verdict: retrypolicy.VerdictFailed, Err: err, Decision: retrypolicy.DecisionGiveUp, Stop: retrypolicy.StopCanceled})
}

// tellFound tells of the attempts whose end was found out when this server
// attempt began. stop is why the last one is not retried; empty if it is.
func (e *execution) tellFound(ctx context.Context, stop retrypolicy.Stop) {
	j := e.heart.view()
	for i := len(j.Outcomes) - j.Found; i < len(j.Outcomes); i++ {
		o := j.Outcomes[i]
		a := retrypolicy.Attempt{Number: o.Number, Method: e.spec.Method, Past: engine.PastCall{Took: e.Elapsed(), Arguments: e.Args(), Earlier: j.Outcomes[:i:i]}}
		why := stop
		if i < len(j.Outcomes)-1 {
			why = ""
		}
		event := lostEvent(a, errors.New(o.Reason), why)
		event.Verdict, event.ErrorType = o.Verdict, o.ErrorType
		e.tell(ctx, event)
	}
}
