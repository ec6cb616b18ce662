package fire

import (
	"context"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
)

func (f *field) call() {
	switch f.event {
	case pauseResume, reset:
		f.callInWorkflow()
	default:
		f.callStandalone()
	}
}

func (f *field) callStandalone() {
	call, err := f.definition.burn.Submit(f.Context(), f.client, "")
	require.NoError(f, err)
	f.cancel = func(ctx context.Context) error { return call.Cancel(ctx, "fire") }
	f.wait = func(ctx context.Context) error {
		_, err := call.Get(ctx)
		return err
	}
	f.state = func(ctx context.Context) (activity.CallState, error) {
		d, err := call.Describe(ctx)
		return d.State, err
	}
}

// callInWorkflow is for what the server offers for workflows' activities.
func (f *field) callInWorkflow() {
	f.runWorkflow(sdkworker.Options{DisableRegistrationAliasing: true}, func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{ActivityID: activityID})
		_, err := f.definition.burn.Execute(ctx, "").Get(ctx)
		return err
	})
}

// runWorkflow runs the workflow that makes the call, on a worker of this
// process.
func (f *field) runWorkflow(o sdkworker.Options, flow func(ctx workflow.Context) error) {
	queue := f.setup.Queue + "-workflow"
	w := sdkworker.New(f.client, queue, o)
	w.RegisterWorkflowWithOptions(flow, workflow.RegisterOptions{Name: "Fire"})
	require.NoError(f, w.Start())
	f.Cleanup(w.Stop)
	run, err := f.client.ExecuteWorkflow(f.Context(), client.StartWorkflowOptions{TaskQueue: queue}, "Fire")
	require.NoError(f, err)
	f.run = run
	f.state = func(ctx context.Context) (activity.CallState, error) {
		d, err := f.client.DescribeWorkflow(ctx, run.GetID(), run.GetRunID())
		if err != nil {
			return "", err
		}
		for _, a := range d.RawResponse.GetPendingActivities() {
			if a.GetState() == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED && a.GetLastFailure() != nil {
				return activity.CallWaiting, nil
			}
		}
		return activity.CallRunning, nil
	}
	f.wait = func(ctx context.Context) error { return run.Get(ctx, nil) }
}

func (f *field) execution() *commonpb.WorkflowExecution {
	return &commonpb.WorkflowExecution{WorkflowId: f.run.GetID(), RunId: f.run.GetRunID()}
}

func (f *field) pause() {
	_, err := f.client.WorkflowService().PauseActivity(f.Context(), &workflowservice.PauseActivityRequest{
		Namespace: f.server.Namespace(), Execution: f.execution(),
		Activity: &workflowservice.PauseActivityRequest_Id{Id: activityID}, Reason: "fire",
	})
	require.NoError(f, err)
}

func (f *field) unpause() {
	_, err := f.client.WorkflowService().UnpauseActivity(f.Context(), &workflowservice.UnpauseActivityRequest{
		Namespace: f.server.Namespace(), Execution: f.execution(),
		Activity: &workflowservice.UnpauseActivityRequest_Id{Id: activityID},
	})
	if f.retries == 0 && f.phase == whileBodyRuns && err != nil {
		return // the pause cut its only body off, which ended the call
	}
	require.NoError(f, err)
}

func (f *field) reset() {
	_, err := f.client.WorkflowService().ResetActivity(f.Context(), &workflowservice.ResetActivityRequest{
		Namespace: f.server.Namespace(), Execution: f.execution(),
		Activity: &workflowservice.ResetActivityRequest_Id{Id: activityID},
	})
	require.NoError(f, err)
}
