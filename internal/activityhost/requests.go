package activityhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/converters"
	"github.com/concurry-go/concurry/internal/engine"
)

// requests are what one server attempt asks of the server. They go out once: the
// SDK's client sends a request again that was not answered, and what was sent
// first may arrive last.
type requests struct {
	service workflowservice.WorkflowServiceClient
	parts   converters.Parts
	info    *activity.Info
	limit   *atomic.Int64 // of details, in bytes, as far as it is known; shared by the host's

	data    converter.DataConverter    // for what the server shows a caller
	failure converter.FailureConverter // the same
}

// newRequests binds the client's converters to the activity, as the SDK does.
func newRequests(ctx context.Context, c client.Client, parts converters.Parts, info *activity.Info, limit *atomic.Int64) requests {
	serialization := serializationOf(info)
	return requests{
		service: c.WorkflowService(), parts: parts, info: info, limit: limit,
		data:    withContext(ctx, converter.WithDataConverterSerializationContext(parts.Data, serialization)),
		failure: converter.WithFailureConverterSerializationContext(parts.Failure, serialization),
	}
}

// serializationOf is what converters are told of an activity's result, failure
// and heartbeats.
func serializationOf(info *activity.Info) converter.SerializationContext {
	if info.NexusSerializationContext != nil {
		return *info.NexusSerializationContext
	}
	return argumentsOf(info)
}

// argumentsOf is what converters are told of an activity's arguments.
func argumentsOf(info *activity.Info) converter.SerializationContext {
	c := converter.ActivitySerializationContext{
		Namespace: info.Namespace, WorkflowID: info.WorkflowExecution.ID,
		ActivityType: info.ActivityType.Name, TaskQueue: info.TaskQueue, IsLocal: info.IsLocalActivity,
	}
	if info.WorkflowType != nil {
		c.WorkflowType = info.WorkflowType.Name
	}
	return c
}

func withContext(ctx context.Context, dc converter.DataConverter) converter.DataConverter {
	if aware, ok := dc.(converter.ContextAware); ok {
		return aware.WithContext(ctx)
	}
	return dc
}

// namespace is the client's; the activity's own where that is not known.
func (r *requests) namespace() string {
	if r.parts.Namespace != "" {
		return r.parts.Namespace
	}
	return r.info.Namespace
}

// resource is what servers route requests by.
func (r *requests) resource() string {
	if id := r.info.WorkflowExecution.ID; id != "" {
		return "workflow:" + id
	}
	return "activity:" + r.info.ActivityID
}

// patience is how long the answer to a sign of life is waited for: when the next
// one is due there is no use for it.
func (r *requests) patience() time.Duration {
	if timeout := r.info.HeartbeatTimeout; timeout > 0 {
		return min(max(timeout/2, time.Second), recordTimeout)
	}
	return recordTimeout
}

// heartbeat records details.
func (r *requests) heartbeat(ctx context.Context, details *commonpb.Payloads) error {
	answer, err := r.service.RecordActivityTaskHeartbeat(ctx, &workflowservice.RecordActivityTaskHeartbeatRequest{
		Namespace: r.namespace(), TaskToken: r.info.TaskToken, Identity: r.parts.Identity, ResourceId: r.resource(),
		Details: details,
	})
	switch {
	case err != nil:
		return err
	case answer.GetCancelRequested():
		return temporal.NewCanceledError()
	case answer.GetActivityPaused():
		return activity.ErrActivityPaused
	case answer.GetActivityReset():
		return activity.ErrActivityReset
	default:
		return nil
	}
}

// fail ends the server attempt with a failure, and records details with it: the
// server does both or nothing, and takes no other request of the server attempt
// afterwards.
func (r *requests) fail(ctx context.Context, failure *failurepb.Failure, details *commonpb.Payloads) error {
	_, err := r.service.RespondActivityTaskFailed(ctx, &workflowservice.RespondActivityTaskFailedRequest{
		Namespace: r.namespace(), TaskToken: r.info.TaskToken, Identity: r.parts.Identity, ResourceId: r.resource(),
		Failure: failure, LastHeartbeatDetails: details, DeploymentOptions: r.parts.Deployment,
	})
	return err
}

// cancel ends the activity as canceled.
func (r *requests) cancel(ctx context.Context) error {
	ctx, done := context.WithTimeout(ctx, recordTimeout/3)
	defer done()
	_, err := r.service.RespondActivityTaskCanceled(ctx, &workflowservice.RespondActivityTaskCanceledRequest{
		Namespace: r.namespace(), TaskToken: r.info.TaskToken, Identity: r.parts.Identity, ResourceId: r.resource(),
		DeploymentOptions: r.parts.Deployment,
	})
	return err
}

// complete ends the activity with a result.
func (r *requests) complete(ctx context.Context, result *commonpb.Payloads) error {
	_, err := r.service.RespondActivityTaskCompleted(ctx, &workflowservice.RespondActivityTaskCompletedRequest{
		Namespace: r.namespace(), TaskToken: r.info.TaskToken, Identity: r.parts.Identity, ResourceId: r.resource(),
		Result: result, DeploymentOptions: r.parts.Deployment,
	})
	return err
}

// lastEnd asks how the server attempt before this one ended, and when. A nil
// failure is one that the server does not know, or does not tell.
func (r *requests) lastEnd(ctx context.Context) (f *failurepb.Failure, at time.Time) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	if r.info.WorkflowExecution.ID == "" {
		answer, err := r.service.DescribeActivityExecution(ctx, &workflowservice.DescribeActivityExecutionRequest{
			Namespace: r.namespace(), ActivityId: r.info.ActivityID, RunId: r.info.ActivityRunID, IncludeLastFailure: true,
		})
		if err != nil {
			return nil, time.Time{}
		}
		return answer.GetInfo().GetLastFailure(), answer.GetInfo().GetLastAttemptCompleteTime().AsTime()
	}
	answer, err := r.service.DescribeWorkflowExecution(ctx, &workflowservice.DescribeWorkflowExecutionRequest{
		Namespace: r.namespace(),
		Execution: &commonpb.WorkflowExecution{WorkflowId: r.info.WorkflowExecution.ID, RunId: r.info.WorkflowExecution.RunID},
	})
	if err != nil {
		return nil, time.Time{}
	}
	for _, a := range answer.GetPendingActivities() {
		if a.GetActivityId() == r.info.ActivityID {
			return a.GetLastFailure(), a.GetLastAttemptCompleteTime().AsTime()
		}
	}
	return nil, time.Time{}
}

// encodedFailure is err as the client's converter sends it.
func (r *requests) encodedFailure(err error) (f *failurepb.Failure, problem error) {
	defer func() {
		if p := recover(); p != nil { // as it does where it cannot encode
			problem = fmt.Errorf("the failure cannot be encoded: %v", p)
		}
	}()
	return r.failure.ErrorToFailure(err), nil
}

// defaultDetailsLimit is what servers take of an activity's details by default.
const defaultDetailsLimit = 2 << 20

// detailsReserve is what is left of the limit for the least of a journal, and for
// what a codec adds.
const detailsReserve = 4 << 10

// check returns an error if the server would not take a method's own details
// beside the least of a journal.
func (r *requests) check(ctx context.Context, user []*commonpb.Payload) error {
	size := sizeOf(user)
	if size < defaultDetailsLimit/2 {
		return nil
	}
	if limit := r.blobLimit(ctx) - detailsReserve; size > limit {
		return &sizeError{size, limit}
	}
	return nil
}

// blobLimit returns how large an activity's details may be. It asks the server,
// once.
func (r *requests) blobLimit(ctx context.Context) int {
	if known := r.limit.Load(); known > 0 {
		return int(known)
	}
	limit := int64(defaultDetailsLimit)
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	answer, err := r.service.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: r.namespace()})
	if own := answer.GetNamespaceInfo().GetLimits().GetBlobSizeLimitError(); err == nil && own > 0 {
		limit = own
	}
	r.limit.Store(limit)
	return int(limit)
}

// details are the user's own and then the journal, in its place: the last. Where
// the server would not take all of it, the journal shrinks.
func (r *requests) details(ctx context.Context, user []*commonpb.Payload, j engine.Journal) (*commonpb.Payloads, error) {
	for less := 0; ; less++ {
		encoded, err := r.data.ToPayloads(rawValues(user, &j)...)
		if err != nil {
			return nil, err
		}
		size := sizeOf(encoded.GetPayloads())
		if size < defaultDetailsLimit/2 || size < r.blobLimit(ctx)-64 {
			return encoded, nil
		}
		if !j.Shrink(less) {
			return nil, &sizeError{size, r.blobLimit(ctx)}
		}
	}
}

// isGone reports whether the server has given this server attempt up.
func isGone(err error) bool {
	_, ok := errors.AsType[*serviceerror.NotFound](err)
	return ok
}

// isRefused reports whether the server would refuse the same request again.
func isRefused(err error) bool {
	switch err.(type) { //nolint:errorlint // what the client returns
	case *serviceerror.InvalidArgument, *serviceerror.PermissionDenied, *serviceerror.FailedPrecondition, *serviceerror.Unimplemented:
		return true
	default:
		return false
	}
}

// isMock reports whether c is the client that the SDK's test environments give to
// activities: it can do nothing but the heartbeats of the SDK's own writer.
func isMock(c client.Client) bool {
	return strings.Contains(fmt.Sprintf("%T", c.WorkflowService()), "mock")
}
