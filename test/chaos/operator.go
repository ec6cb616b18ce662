package main

import (
	"context"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
)

const namespace = "default"

// choose is one of the workflows' calls that are under way; nil if there is none.
func (c *caller) choose(pick uint64) *result {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.flying) == 0 {
		return nil
	}
	return c.flying[pick%uint64(len(c.flying))]
}

func (r *result) execution() *commonpb.WorkflowExecution {
	return &commonpb.WorkflowExecution{WorkflowId: r.call}
}

// pauseOne pauses a call's activity and lets it go on later.
func (c *caller) pauseOne(ctx context.Context, one strike) bool {
	r := c.choose(one.Pick)
	if r == nil {
		return false
	}
	request, cancel := context.WithTimeout(ctx, requestTimeout)
	_, err := c.client.WorkflowService().PauseActivity(request, &workflowservice.PauseActivityRequest{
		Namespace: namespace, Execution: r.execution(),
		Activity: &workflowservice.PauseActivityRequest_Id{Id: activityID}, Reason: "chaos",
	})
	cancel()
	c.log.notef("pause of %s: %v", r.call, err)
	pause(ctx, one.For)
	// An answer that did not come may have been a yes.
	c.pausing.Go(func() { c.unpause(context.WithoutCancel(ctx), r) })
	return err == nil
}

// unpause tries until the server has answered, or the call has ended.
func (c *caller) unpause(ctx context.Context, r *result) {
	ctx, cancel := context.WithTimeout(ctx, c.plan.options.settle)
	defer cancel()
	for {
		request, cancel := context.WithTimeout(ctx, requestTimeout)
		_, err := c.client.WorkflowService().UnpauseActivity(request, &workflowservice.UnpauseActivityRequest{
			Namespace: namespace, Execution: r.execution(),
			Activity: &workflowservice.UnpauseActivityRequest_Id{Id: activityID},
		})
		cancel()
		if err == nil || !isOutage(err) || ctx.Err() != nil {
			c.log.notef("unpause of %s: %v", r.call, err)
			return
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// resetOne resets a call's activity, which gives it a new budget.
func (c *caller) resetOne(ctx context.Context, one strike) bool {
	r := c.choose(one.Pick)
	if r == nil {
		return false
	}
	c.mu.Lock()
	r.resets++ // whatever the answer is
	c.mu.Unlock()
	request, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := c.client.WorkflowService().ResetActivity(request, &workflowservice.ResetActivityRequest{
		Namespace: namespace, Execution: r.execution(),
		Activity: &workflowservice.ResetActivityRequest_Id{Id: activityID},
	})
	c.log.notef("reset of %s: %v", r.call, err)
	return err == nil
}
