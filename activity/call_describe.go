package activity

import (
	"context"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/callworkflow"
)

// CallState is where a submitted call stands.
type CallState string

const (
	// CallWaiting means that the call waits for a worker, or for its next server
	// attempt.
	CallWaiting CallState = "waiting"
	// CallRunning means that a worker has the call; it may be waiting there for the
	// next attempt.
	CallRunning CallState = "running"
	// CallCanceling means that the call was asked to end and has not ended yet.
	CallCanceling CallState = "canceling"
	// CallPaused means that an operator has stopped the call, and can let it go on.
	CallPaused CallState = "paused"
	// CallCompleted means that the call has a result.
	CallCompleted CallState = "completed"
	// CallFailed means that the call ended with an error of the method, or with a
	// refused result.
	CallFailed CallState = "failed"
	// CallCanceled means that the call ended because it was asked to.
	CallCanceled CallState = "canceled"
	// CallTerminated means that an operator ended the call.
	CallTerminated CallState = "terminated"
	// CallTimedOut means that CallTimeout passed, or that the last server attempt
	// timed out and the server makes no other.
	CallTimedOut CallState = "timed out"
)

// Ended reports whether the state is final.
func (s CallState) Ended() bool {
	switch s {
	case CallCompleted, CallFailed, CallCanceled, CallTerminated, CallTimedOut:
		return true
	default:
		return false
	}
}

// Description is what the server knows of a call.
type Description struct {
	ID, RunID    string
	ActivityType string
	TaskQueue    string
	// Standalone: see Call.Standalone.
	Standalone bool
	State      CallState
	// ServerAttempts are how many activity tasks were started for the call.
	// Each may hold several attempts of the method's body, which the server
	// does not count.
	ServerAttempts int
	// LastFailure is the error the call ended with, or that of its newest
	// server attempt that failed; empty without one.
	LastFailure string
	// Submitted is when the server took the call.
	Submitted time.Time
	// Started is when the newest server attempt began; zero before the first,
	// and, unless the call is standalone, while it waits for the next.
	Started time.Time
	// Closed is when the call ended; zero if it has not.
	Closed time.Time
}

// Describe asks the server where the call stands. ErrUnknownID if it does not
// know the call any more.
func (c *Call[Out]) Describe(ctx context.Context) (Description, error) {
	describe := describeWorkflow
	if c.standalone {
		describe = describeActivity
	}
	d, err := describe(ctx, c.client, c.id, c.runID)
	if err != nil {
		return Description{}, c.failed("Describe", unknown(err))
	}
	return d, nil
}

// find describes the newest call of an ID, whichever way it was submitted.
func find(ctx context.Context, c client.Client, id string) (Description, error) {
	if withoutStandalone.Get(c) == nil {
		d, err := describeActivity(ctx, c, id, "")
		switch {
		case isUnimplemented(err):
			withoutStandalone.Add(c)
		case !isNotFound(err):
			return d, err
		}
		// It may be from a time before this server had standalone activities.
	}
	d, err := describeWorkflow(ctx, c, id, "")
	return d, unknown(err)
}

func unknown(err error) error {
	if isNotFound(err) {
		return fmt.Errorf("%w: %w", ErrUnknownID, err)
	}
	return err
}

func describeActivity(ctx context.Context, c client.Client, id, runID string) (Description, error) {
	a, err := c.GetActivityHandle(client.GetActivityHandleOptions{ActivityID: id, RunID: runID}).
		Describe(ctx, client.DescribeActivityOptions{IncludeOutcome: true, IncludeLastFailure: true})
	if err != nil {
		return Description{}, err
	}
	info := a.RawResponse.GetInfo()
	d := Description{
		ID: a.ActivityID, RunID: a.ActivityRunID, ActivityType: a.ActivityType, TaskQueue: a.TaskQueue, Standalone: true,
		State: pendingState(a.RunState), Submitted: a.ScheduleTime,
	}
	if t := info.GetLastStartedTime(); t != nil {
		d.Started = t.AsTime()
	}
	if t := info.GetCloseTime(); t != nil {
		d.Closed = t.AsTime()
	}
	switch a.Status {
	case enumspb.ACTIVITY_EXECUTION_STATUS_COMPLETED:
		d.State = CallCompleted
	case enumspb.ACTIVITY_EXECUTION_STATUS_FAILED:
		d.State = CallFailed
	case enumspb.ACTIVITY_EXECUTION_STATUS_CANCELED:
		d.State = CallCanceled
	case enumspb.ACTIVITY_EXECUTION_STATUS_TERMINATED:
		d.State = CallTerminated
	case enumspb.ACTIVITY_EXECUTION_STATUS_TIMED_OUT:
		d.State = CallTimedOut
	}
	d.ServerAttempts = started(d, a.Attempt)
	if failure := a.GetOutcomeFailure(); failure != nil {
		d.LastFailure = failure.Error()
	} else if failure := a.GetLastFailure(); failure != nil && d.State != CallCompleted {
		d.LastFailure = failure.Error()
	}
	return d, nil
}

// started is how many server attempts began: the number of one that waits for
// a worker is counted by the server already.
func started(d Description, attempt int32) int {
	if d.State == CallWaiting || d.Started.IsZero() {
		attempt--
	}
	return int(max(attempt, 0))
}

func pendingState(s enumspb.PendingActivityState) CallState {
	switch s {
	case enumspb.PENDING_ACTIVITY_STATE_STARTED, enumspb.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED:
		return CallRunning
	case enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED:
		return CallCanceling
	case enumspb.PENDING_ACTIVITY_STATE_PAUSED:
		return CallPaused
	default:
		return CallWaiting
	}
}

func describeWorkflow(ctx context.Context, c client.Client, id, runID string) (Description, error) {
	w, err := c.DescribeWorkflow(ctx, id, runID)
	if err != nil {
		return Description{}, err
	}
	if w.WorkflowType.Name != callworkflow.WorkflowType {
		return Description{}, fmt.Errorf("%w: it is a workflow of type %s", ErrUnknownID, w.WorkflowType.Name)
	}
	d := Description{
		ID: id, RunID: w.WorkflowExecution.RunID, TaskQueue: w.TaskQueueName,
		State: CallWaiting, Submitted: w.WorkflowStartTime,
	}
	if d.ActivityType, err = w.GetStaticDetails(); err != nil {
		return Description{}, err
	}
	if w.WorkflowCloseTime == nil {
		d.pending(w.RawResponse)
		return d, nil
	}
	d.Closed = *w.WorkflowCloseTime
	return d, d.ended(ctx, c, w.Status)
}

// pending adds what the server knows of the activity of a workflow that runs.
func (d *Description) pending(w *workflowservice.DescribeWorkflowExecutionResponse) {
	for _, a := range w.GetPendingActivities() {
		d.State = pendingState(a.GetState())
		if t := a.GetLastStartedTime(); t != nil {
			d.Started = t.AsTime()
		}
		d.ServerAttempts = started(*d, a.GetAttempt())
		if f := a.GetLastFailure(); f != nil {
			d.LastFailure = temporal.GetDefaultFailureConverter().FailureToError(f).Error()
		}
	}
	if w.GetWorkflowExtendedInfo().GetCancelRequested() {
		d.State = CallCanceling
	}
}

// ended adds what the history of a workflow that has ended tells.
func (d *Description) ended(ctx context.Context, c client.Client, status enumspb.WorkflowExecutionStatus) error {
	events := c.GetWorkflowHistory(ctx, d.ID, d.RunID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return err
		}
		if a, ok := event.GetAttributes().(*historypb.HistoryEvent_ActivityTaskStartedEventAttributes); ok {
			d.ServerAttempts = int(a.ActivityTaskStartedEventAttributes.GetAttempt())
			d.Started = event.GetEventTime().AsTime()
		}
	}
	if status == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
		d.State = CallCompleted
		return nil
	}
	err := bare(c.GetWorkflow(ctx, d.ID, d.RunID).Get(ctx, nil))
	if err == nil || isRequestError(err) || isNotFound(err) {
		return err
	}
	d.LastFailure = err.Error()
	d.State = stateOf(err)
	return nil
}

// stateOf is how a call ended that ended with err.
func stateOf(err error) CallState {
	switch err.(type) { //nolint:errorlint // the outermost, and no deeper
	case *temporal.CanceledError:
		return CallCanceled
	case *temporal.TerminatedError:
		return CallTerminated
	case *temporal.TimeoutError:
		return CallTimedOut
	default:
		return CallFailed
	}
}
