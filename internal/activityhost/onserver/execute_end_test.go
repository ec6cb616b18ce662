package onserver_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/worker"
)

func TestExecuteForNobodySaysWhereItHasWaited(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	_, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 5})
	short := do.With(activity.CallOptions{CallTimeout: time.Second})
	var elsewhere, here error
	flow := func(ctx workflow.Context) error {
		_, elsewhere = short.With(activity.CallOptions{TaskQueue: queue + "-misspelled"}).Execute(ctx, "").Get(ctx)
		_, here = short.Execute(ctx, "").Get(ctx)
		return here
	}
	w := worker.New(c, queue, worker.Options{LocalActivityWorkerOnly: true})
	w.RegisterWorkflowWithOptions(flow, workflow.RegisterOptions{Name: "Flow"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Flow")
	require.NoError(t, err)
	_, err = resultOf[any](t, run)
	const want = "Scripted.Do: no worker of task queue %q has taken it up: activity error"
	require.ErrorContains(t, elsewhere, fmt.Sprintf(want, queue+"-misspelled"))
	require.ErrorContains(t, here, fmt.Sprintf(want, queue))
	require.ErrorContains(t, err, fmt.Sprintf(want, queue), "for clients of the workflow too")
	for _, err := range []error{elsewhere, here, err} {
		var timeout *temporal.TimeoutError
		require.ErrorAs(t, err, &timeout)
		var activityError *temporal.ActivityError
		require.ErrorAs(t, err, &activityError)
	}
	replaysAnywhere(t, c, run, flow)
}

// A call that was started was taken up.
func TestTimeoutOfACallThatWasStartedIsTemporals(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() }}
	d, do := Define(t, InPlace, retrypolicy.Policy{})
	var ended error
	flow := func(ctx workflow.Context) error {
		_, ended = do.With(activity.CallOptions{CallTimeout: time.Second}).Execute(ctx, "").Get(ctx)
		return nil
	}
	Start(t, c, queue, func(w *worker.Worker) {
		worker.Register(w, d, impl)
		w.RegisterWorkflowWithOptions(flow, workflow.RegisterOptions{Name: "Flow"})
	})
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Flow")
	require.NoError(t, err)
	_, err = resultOf[any](t, run)
	require.NoError(t, err)
	assert.EqualValues(t, 1, impl.Started.Load())
	var timeout *temporal.TimeoutError
	require.ErrorAs(t, ended, &timeout)
	_, bare := ended.(*temporal.ActivityError)
	assert.True(t, bare, "%v", ended)
}
