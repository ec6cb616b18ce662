package activity

import (
	"context"

	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/internal/callworkflow"
)

// startWorkflow submits the call as the workflow of package callworkflow.
func (s *submission) startWorkflow(ctx context.Context) (runID string, err error) {
	input, err := callworkflow.Input(callworkflow.Request{
		ActivityType: s.activityType,
		CallTimeout:  s.options.CallTimeout,
		StartToClose: s.startToClose(),
		Heartbeat:    s.heartbeat(),
		Retry:        callworkflow.FromPolicy(s.retryPolicy()),
		Summary:      s.summary,
	}, s.header, s.args)
	if err != nil {
		return "", err
	}
	o := client.StartWorkflowOptions{
		ID: s.id, TaskQueue: s.taskQueue,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            s.summary,
		StaticDetails:                            s.activityType, // Attach and Describe read it
	}
	if s.options.CallTimeout > 0 {
		o.WorkflowRunTimeout = s.options.CallTimeout + callworkflow.Slack
	}
	run, err := s.client.ExecuteWorkflow(ctx, o, callworkflow.WorkflowType, input...)
	if err != nil {
		return "", err
	}
	return run.GetRunID(), nil
}
