package onserver_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// plainCall calls an activity as programs do that know nothing of this module.
func plainCall(ctx workflow.Context, in string) workflow.Future {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	return workflow.ExecuteActivity(ctx, "Plain", in)
}

// Activities in Policies know the session of plain calls.
func TestLimitsOfPoliciesAreThoseOfTheSession(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]limits.Source{
		"session scope": limits.PerSession(limits.Resource("c", 1)), "no explicit scope": limits.PerSessionOrWorker(limits.Resource("c", 1)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queue, c := Queue(t), Client(t)
			held, goOn := make(chan string, 10), make(chan struct{})
			body := func(_ context.Context, in string) error {
				held <- in
				<-goOn
				return nil
			}
			flow := func(ctx workflow.Context) error {
				done := workflow.NewWaitGroup(ctx)
				errs := make([]error, 2)
				for i, session := range []string{"first", "second"} {
					done.Add(1)
					workflow.Go(ctx, func(ctx workflow.Context) {
						defer done.Done()
						errs[i] = activity.InSession(ctx, options(), func(ctx workflow.Context) error {
							a, b := plainCall(ctx, session), plainCall(ctx, session)
							if err := a.Get(ctx, nil); err != nil {
								return err
							}
							return b.Get(ctx, nil)
						})
					})
				}
				done.Wait(ctx)
				if errs[0] != nil {
					return errs[0]
				}
				return errs[1]
			}
			w := worker.New(c, queue, worker.Options{EnableSessionWorker: true, WorkerStopTimeout: time.Second},
				worker.Policies{"Plain": {Limits: source, Requires: limits.Units{"c": 1}}})
			w.RegisterActivityWithOptions(body, sdkactivity.RegisterOptions{Name: "Plain"})
			w.RegisterWorkflowWithOptions(flow, workflow.RegisterOptions{Name: "Flow"})
			require.NoError(t, w.Start())
			t.Cleanup(w.Stop)
			run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Flow")
			require.NoError(t, err)
			assert.ElementsMatch(t, []string{"first", "second"}, []string{Next(t, held), Next(t, held)}, "one in each session at once")
			goOn <- struct{}{}
			goOn <- struct{}{}
			assert.ElementsMatch(t, []string{"first", "second"}, []string{Next(t, held), Next(t, held)})
			assert.Empty(t, held)
			close(goOn)
			_, err = resultOf[any](t, run)
			require.NoError(t, err)
			replaysAnywhere(t, c, run, flow)
		})
	}
}

func TestSessionLimitsOfPoliciesOutsideASessionAreAnError(t *testing.T) {
	env := testsuite.NewWorkflowEnvironment(t, worker.Policies{"Plain": {Limits: limits.PerSession(limits.Resource("c", 1)), Requires: limits.Units{"c": 1}}})
	env.RegisterActivityWithOptions(func(context.Context, string) error { return nil }, sdkactivity.RegisterOptions{Name: "Plain"})
	var outside, inside, local, after error
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		outside = plainCall(ctx, "x").Get(ctx, nil)
		return activity.InSession(ctx, options(), func(inner workflow.Context) error {
			inside = plainCall(inner, "x").Get(inner, nil)
			localCtx := workflow.WithLocalActivityOptions(inner, workflow.LocalActivityOptions{StartToCloseTimeout: time.Minute})
			local = workflow.ExecuteLocalActivity(localCtx, "Plain", "x").Get(inner, nil)
			workflow.CompleteSession(inner)
			after = plainCall(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{}), "x").Get(ctx, nil)
			return nil
		})
	})
	require.NoError(t, env.GetWorkflowError())
	require.NoError(t, inside)
	for _, err := range []error{outside, local, after} {
		require.ErrorContains(t, err, "limits: they are a session's (limits.PerSession), and the activity runs in none: start it inside activity.InSession, on a worker with concurry's plugin")
	}
}
