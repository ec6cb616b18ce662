package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/worker"
)

const (
	oneFlow     = "ChaosOne"
	sessionFlow = "ChaosSession"
	// activityID is the one activity's of oneFlow.
	activityID = "chaos"
	// sessionsAtMost is how many sessions a workflow opens, one after another.
	sessionsAtMost = 5
)

// inner is a call that a session's workflow has made.
type inner struct {
	Call    string
	Outcome outcome
}

// sessionEnd is what a session's workflow returns, also where it fails: the calls
// that it has made are to be judged all the same.
type sessionEnd struct {
	Calls   []inner
	Outcome outcome
}

// host runs the workflows that make calls, in this process: it is the workers
// that are under fire.
func (c *caller) host() (sdkworker.Worker, error) {
	w := sdkworker.New(c.client, c.flows, sdkworker.Options{Plugins: []sdkworker.Plugin{worker.Plugin()}, DisableRegistrationAliasing: true})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, shape int, in input) (output, error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{ActivityID: activityID})
		return c.methods[shape].handle.Execute(ctx, in).Get(ctx)
	}, workflow.RegisterOptions{Name: oneFlow})
	w.RegisterWorkflowWithOptions(c.session, workflow.RegisterOptions{Name: sessionFlow})
	return w, w.Start()
}

// session makes calls in a session, and those that a lost session took with it
// again in another one. Every call has a name of its own.
func (c *caller) session(ctx workflow.Context, shape int, in input, calls int) (sessionEnd, error) {
	var end sessionEnd
	o := activity.SessionOptions{TaskQueue: c.queue, HeartbeatTimeout: 2 * time.Second, CreationTimeout: time.Minute}
	var err error
	for i := range sessionsAtMost {
		err = activity.InSession(ctx, o, func(ctx workflow.Context) error {
			futures := make([]activity.Future[output], calls)
			names := make([]string, calls)
			for n := range futures {
				one := in
				one.Scope = fmt.Sprintf("%s.s%d", in.Call, i)
				one.Call = fmt.Sprintf("%s.%d", one.Scope, n)
				names[n], futures[n] = one.Call, c.methods[shape].handle.Execute(ctx, one)
			}
			var lost error
			for n, future := range futures {
				out, err := future.Get(ctx)
				end.Calls = append(end.Calls, inner{names[n], outcomeOf(out, err)})
				if errors.Is(err, workflow.ErrSessionFailed) {
					lost = err
				}
			}
			return lost
		})
		if !errors.Is(err, workflow.ErrSessionFailed) {
			break
		}
	}
	end.Outcome = outcomeOf(output{Call: in.Call}, err)
	return end, nil
}

// makeWorkflow makes a call from a workflow.
func (c *caller) makeWorkflow(ctx context.Context, r *result) (*flight, error) {
	flow, queue, args := oneFlow, c.flows, []any{r.spec.Shape, r.spec.Input}
	switch r.spec.Kind {
	case inSession:
		flow, args = sessionFlow, append(args, r.spec.Calls)
	case localToFlow:
		flow, queue = localFlow, c.queue
	}
	run, err := c.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: r.call, TaskQueue: queue, WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
	}, flow, args...)
	if err != nil {
		return nil, err
	}
	return &flight{
		get: func(ctx context.Context) (sessionEnd, error) {
			if r.spec.Kind == inSession {
				var end sessionEnd
				err := run.Get(ctx, &end)
				if err != nil && isEnd(err) {
					end.Outcome = outcomeOf(output{}, err)
				}
				return end, err
			}
			var out output
			err := run.Get(ctx, &out)
			return sessionEnd{Outcome: outcomeOf(out, err)}, err
		},
		cancel: func(ctx context.Context) error { return c.client.CancelWorkflow(ctx, run.GetID(), run.GetRunID()) },
		describe: func(ctx context.Context) (any, error) {
			d, err := c.client.DescribeWorkflow(ctx, run.GetID(), run.GetRunID())
			if err != nil {
				return nil, err
			}
			return d.RawResponse.GetPendingActivities(), nil
		},
	}, nil
}
