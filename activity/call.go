package activity

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/callworkflow"
	"github.com/concurry-go/concurry/internal/converters"
)

// Call is a submitted call. It holds no result and no connection of its own.
// Immutable and safe for concurrent use.
type Call[Out any] struct {
	client       client.Client
	id, runID    string
	activityType string
	standalone   bool
}

// Attach finds a call that was submitted before, by this process or any other,
// also when it has ended, as long as the namespace's retention keeps it. Of
// several calls with one ID it is the newest. So a program that may die, and
// be started again, goes on where it was:
//
//	call, err := Print.With(activity.CallOptions{ID: "order-7"}).Submit(ctx, c, order)
//	if errors.Is(err, activity.ErrIDInUse) {
//		call, err = Print.Attach(ctx, c, "order-7")
//	}
//
// Errors: ErrUnknownID, one that names both methods if the call is another
// method's, or the server's.
func (h Handle[In, Out]) Attach(ctx context.Context, c client.Client, id string) (*Call[Out], error) {
	call := &Call[Out]{client: c, id: id, activityType: h.m.activityType}
	switch {
	case c == nil:
		return nil, fmt.Errorf("%s: Attach: the client is nil", h.m.activityType)
	case id == "":
		return nil, fmt.Errorf("%s: Attach: the ID is empty", h.m.activityType)
	}
	d, err := find(ctx, c, id)
	if err != nil {
		return nil, call.failed("Attach", err)
	}
	if d.ActivityType != "" && d.ActivityType != h.m.activityType {
		return nil, call.failed("Attach", fmt.Errorf("it is a call of %s", d.ActivityType))
	}
	call.runID, call.standalone = d.RunID, d.Standalone
	return call, nil
}

// ID returns the call's ID: the activity's, or the workflow's if the call is not
// standalone.
func (c *Call[Out]) ID() string { return c.id }

// RunID returns what distinguishes calls with the same ID.
func (c *Call[Out]) RunID() string { return c.runID }

// Standalone reports whether the call is a standalone activity, or else that of
// a small workflow, because the server had none; see Submit.
func (c *Call[Out]) Standalone() bool { return c.standalone }

// Get waits for the end of the call. When ctx ends first it returns the
// context's error, and the call goes on.
//
// Errors are the call's own: what the method returned, as a
// *temporal.ApplicationError (validation.As finds a RetryValidationError), a
// *temporal.TimeoutError, a *temporal.CanceledError after Cancel, a
// *temporal.TerminatedError. Around the TimeoutError of a call that no worker has
// taken up is one that names the task queue. Others are ErrUnknownID, when the
// result is older than the namespace's retention, and the server's.
func (c *Call[Out]) Get(ctx context.Context) (Out, error) {
	var out Out
	var err error
	if c.standalone {
		err = c.ActivityHandle().Get(ctx, &out)
	} else {
		err = bare(c.client.GetWorkflow(ctx, c.id, c.runID).Get(ctx, &out))
	}
	if err == nil {
		return out, nil
	}
	if known, end := c.outcome(ctx, &out); known {
		if err = end; err == nil {
			return out, nil
		}
	}
	if cause := endOf(ctx); cause != nil && isRequestError(err) {
		return out, c.failed("Get", fmt.Errorf("%w; it goes on: Describe has its state, and how often it was started", cause))
	}
	if isNotFound(err) {
		return out, c.failed("Get", fmt.Errorf("%w: %w", ErrUnknownID, err))
	}
	if maybeUnstarted(err) {
		if d, problem := c.Describe(ctx); problem == nil && d.ServerAttempts == 0 {
			return out, c.failed("Get", notTakenUp(d.TaskQueue, err))
		}
	}
	return out, err
}

// outcome is the end of a standalone call, asked for once more where the client has
// converters of its own: Temporal's handle decodes what it gets as that of any
// activity (SDK 1.51), and a codec that is bound to its activity then refuses it.
func (c *Call[Out]) outcome(ctx context.Context, out *Out) (known bool, end error) {
	if !c.standalone || converters.OfClient(c.client).IsDefault() {
		return false, nil
	}
	d, err := c.ActivityHandle().Describe(ctx, client.DescribeActivityOptions{IncludeOutcome: true})
	switch {
	case err != nil:
		return false, nil //nolint:nilerr // the first error tells more
	case d.HasResult():
		return true, d.GetResult(out)
	case d.HasOutcomeFailure():
		return true, d.GetOutcomeFailure()
	}
	return false, nil
}

// maybeUnstarted reports whether a call has ended like one that no worker has
// started.
func maybeUnstarted(err error) bool {
	timeout, ok := err.(*temporal.TimeoutError) //nolint:errorlint // the outermost, and no deeper
	if !ok || timeout.Unwrap() != nil {         // the failure of a server attempt
		return false
	}
	switch timeout.TimeoutType() {
	case enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE:
		return true
	default:
		return false
	}
}

// notTakenUp is err of a call that no worker has started.
func notTakenUp(queue string, err error) error {
	return fmt.Errorf("no worker of task queue %q has taken it up: %w", queue, err)
}

// Cancel asks for the end of the call; reason is kept with it. The method's
// context ends at the next heartbeat, Get returns once the method has. To
// cancel a call twice, or one that has ended, is no error. ErrUnknownID if the
// server does not know the call any more.
func (c *Call[Out]) Cancel(ctx context.Context, reason string) error {
	var err error
	if c.standalone {
		err = c.ActivityHandle().Cancel(ctx, client.CancelActivityOptions{Reason: reason})
		if _, ended := errors.AsType[*serviceerror.FailedPrecondition](err); ended {
			return nil // or it is being canceled already
		}
	} else {
		err = c.client.CancelWorkflowWithOptions(ctx, client.CancelWorkflowOptions{WorkflowID: c.id, RunID: c.runID, Reason: reason})
	}
	if isNotFound(err) { // of a workflow that has ended too
		if _, err := c.Describe(ctx); err != nil {
			return err
		}
		return nil
	}
	if err != nil {
		return c.failed("Cancel", err)
	}
	return nil
}

// ActivityHandle returns Temporal's own handle of a standalone activity, for
// everything else. It is nil for a call that is not standalone: use
// client.GetWorkflow with its ID.
func (c *Call[Out]) ActivityHandle() client.ActivityHandle {
	if !c.standalone {
		return nil
	}
	return c.client.GetActivityHandle(client.GetActivityHandleOptions{ActivityID: c.id, RunID: c.runID})
}

func (c *Call[Out]) failed(what string, err error) error {
	return fmt.Errorf("%s: %s: call ID %q: %w", c.activityType, what, c.id, err)
}

// bare is a workflow's error as a standalone activity would have it: without
// the layers that say who ran it.
func bare(err error) error {
	workflowError, ok := errors.AsType[*temporal.WorkflowExecutionError](err)
	if !ok {
		return err
	}
	err = workflowError.Unwrap()
	if activityError, ok := err.(*temporal.ActivityError); ok { //nolint:errorlint // the outermost, and no deeper
		return activityError.Unwrap()
	}
	if _, ok := err.(*temporal.TimeoutError); ok { //nolint:errorlint // see above
		// The workflow itself ran out of time: nobody ever took it up, for
		// which a standalone activity has this type of timeout.
		return temporal.GetDefaultFailureConverter().FailureToError(&failurepb.Failure{
			Message: "no worker ran workflow " + callworkflow.WorkflowType,
			FailureInfo: &failurepb.Failure_TimeoutFailureInfo{TimeoutFailureInfo: &failurepb.TimeoutFailureInfo{
				TimeoutType: enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START,
			}},
		})
	}
	return err
}

// endOf is why ctx has ended, or is about to: a request can notice a deadline
// before the context itself does.
func endOf(ctx context.Context) error {
	if d, ok := ctx.Deadline(); ok && time.Until(d) < 100*time.Millisecond {
		<-ctx.Done()
	}
	return context.Cause(ctx)
}

// isRequestError reports whether a request ended, as opposed to the call.
func isRequestError(err error) bool {
	_, canceled := errors.AsType[*serviceerror.Canceled](err)
	_, late := errors.AsType[*serviceerror.DeadlineExceeded](err)
	return canceled || late || err == context.Canceled || err == context.DeadlineExceeded //nolint:errorlint // a call's own failure may wrap them
}
