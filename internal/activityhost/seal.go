package activityhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/internal/converters"
	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/wire"
)

// Headers are no values to Temporal's SDK, which sends them as they are. Ours pass
// the client's converter and codec as arguments do, and with the same serialization
// context; a client without options sends them as they are, too.

// sealed is p as workflow code sends it to an activity. A codec that fails for the
// moment fails the workflow task, which the server makes again; in replay nothing is
// sent.
func (h *Host) sealed(ctx workflow.Context, p *commonpb.Payload, activityType, taskQueue string, local bool) *commonpb.Payload {
	dc := h.converters().Data
	if dc == converter.GetDefaultDataConverter() || workflow.IsReplaying(ctx) {
		return p
	}
	info := workflow.GetInfo(ctx)
	dc = converter.WithDataConverterSerializationContext(dc, converter.ActivitySerializationContext{
		Namespace: info.Namespace, WorkflowID: info.WorkflowExecution.ID, WorkflowType: info.WorkflowType.Name,
		ActivityType: activityType, TaskQueue: cmp.Or(taskQueue, info.TaskQueueName), IsLocal: local,
	})
	dc = workflow.DataConverterWithoutDeadlockDetection(dc)
	if aware, ok := dc.(workflow.ContextAware); ok {
		dc = aware.WithWorkflowContext(ctx)
	}
	encoded, err := dc.ToPayload(converter.NewRawValue(p))
	if err != nil {
		panic(fmt.Errorf("%s: header: %w", activityType, err))
	}
	return encoded
}

// SealedBy is p as a client sends it to an activity of its own.
func SealedBy(ctx context.Context, c client.Client, p *commonpb.Payload, activityType, taskQueue string) (*commonpb.Payload, error) {
	parts := converters.OfClient(c)
	if p == nil || parts.Data == converter.GetDefaultDataConverter() {
		return p, nil
	}
	dc := converter.WithDataConverterSerializationContext(parts.Data, converter.ActivitySerializationContext{
		Namespace: parts.Namespace, ActivityType: activityType, TaskQueue: taskQueue,
	})
	encoded, err := withContext(ctx, dc).ToPayload(converter.NewRawValue(p))
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return encoded, nil
}

// errForeignHeader is the error of a call whose header this worker will never read.
var errForeignHeader = errors.New("it was encoded by a DataConverter that this worker's client has not")

// unseal opens our headers of an activity's task in their place.
func (h *Host) unseal(ctx context.Context, info *activity.Info) error {
	header := interceptor.Header(ctx)
	for _, key := range []string{engine.HeaderKey, SessionKey} {
		p := header[key]
		if p == nil || wire.Ours(p) {
			continue
		}
		dc := converter.WithDataConverterSerializationContext(h.converters().Data, argumentsOf(info))
		var raw converter.RawValue
		err := withContext(ctx, dc).FromPayload(p, &raw)
		switch {
		case err != nil:
			return fmt.Errorf("header %q: %w", key, err)
		case !wire.Ours(raw.Payload()):
			return failure.Final(fmt.Errorf("%s: header %q: %w", info.ActivityType.Name, key, errForeignHeader), nil)
		}
		header[key] = raw.Payload()
	}
	return nil
}
