package onserver_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// With 50,000 of 51,200 events used, and 1,000 kept, there is room for 200.
func TestMapRefusesMoreInputsThanFitIntoTheHistory(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ used, concurrency, fit int }{
		"one call at a time":      {50_000, 1, 33}, // six events each
		"two":                     {50_000, 2, 44}, // four and a half
		"many":                    {50_000, 100, 57},
		"no room":                 {50_300, 100, 0},
		"more used than there is": {60_000, 100, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, do := ScriptedWith(activity.Options{})
			for _, n := range []int{c.fit, c.fit + 1} {
				impl := echoes()
				env := testsuite.NewWorkflowEnvironment(t)
				testsuite.Register(t, env, d, impl)
				env.SetCurrentHistoryLength(c.used)
				var outs []string
				var err error
				env.ExecuteWorkflow(func(ctx workflow.Context) error {
					outs, err = do.Map(ctx, Inputs(n), activity.Concurrency(c.concurrency))
					return nil
				})
				require.NoError(t, env.GetWorkflowError())
				if n == c.fit {
					require.NoError(t, err)
					assert.Len(t, outs, n)
					continue
				}
				require.ErrorIs(t, err, activity.ErrHistoryFull)
				require.ErrorContains(t, err, "Scripted.Do: Map of ")
				assert.Zero(t, impl.Started.Load())
			}
		})
	}
	d, do := ScriptedWith(activity.Options{})
	env := testsuite.NewWorkflowEnvironment(t)
	testsuite.Register(t, env, d, echoes())
	env.SetCurrentHistoryLength(3)
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		_, err := do.Map(ctx, make([]string, 18_000))
		assert.EqualError(t, err, "Scripted.Do: Map of 18000 inputs: no room in the workflow's history: at most 14342 fit, since 3 of 51200 events are used "+
			"and a call takes at least 3.5 at Concurrency 100: use SubmitMap from a program, several workflows, or continue-as-new")
		return nil
	})
	require.NoError(t, env.GetWorkflowError())
}

// What fits at best may not fit: calls that end one by one take more events, and
// other code of the workflow, or results, fill the history too.
func TestMapThatRunsOutOfHistoryKeepsItsResults(t *testing.T) {
	t.Parallel()
	for name, fill := range map[string]func(env *testsuite.WorkflowEnvironment){
		"events": func(env *testsuite.WorkflowEnvironment) { env.SetCurrentHistoryLength(51_000) },
		"bytes":  func(env *testsuite.WorkflowEnvironment) { env.SetCurrentHistorySize(49 << 20) },
		// One more has room, but not the 2.5 MiB that each has taken.
		"bytes of the next": func(env *testsuite.WorkflowEnvironment) { env.SetCurrentHistorySize(47 << 20) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, do := ScriptedWith(activity.Options{})
			impl := echoes()
			env := testsuite.NewWorkflowEnvironment(t)
			testsuite.Register(t, env, d, impl)
			ended := 0
			env.SetOnActivityCompletedListener(func(*sdkactivity.Info, converter.EncodedValue, error) {
				if ended++; ended == 10 {
					fill(env)
				}
			})
			ins := Inputs(100)
			env.ExecuteWorkflow(func(ctx workflow.Context) error {
				outs, err := do.Map(ctx, ins, activity.Concurrency(10))
				var failed *activity.MapError
				if !assert.ErrorAs(t, err, &failed) {
					return nil
				}
				called := 0
				for i, err := range failed.Errors {
					if err == nil {
						called++
						assert.Equal(t, ins[i]+"!", outs[i])
						continue
					}
					assert.ErrorIs(t, err, activity.ErrHistoryFull)
					assert.ErrorContains(t, err, "Scripted.Do: not called: no room in the workflow's history: ")
				}
				assert.EqualValues(t, called, impl.Started.Load(), "every call that was made has its result")
				assert.GreaterOrEqual(t, called, 10)
				assert.Less(t, called, 25)
				return nil
			})
			require.NoError(t, env.GetWorkflowError())
		})
	}
}

// Near the end of the room fewer calls are under way, and all of it is used.
func TestMapNarrowsBeforeTheHistoryIsFull(t *testing.T) {
	t.Parallel()
	d, do := ScriptedWith(activity.Options{})
	env := testsuite.NewWorkflowEnvironment(t)
	testsuite.Register(t, env, d, echoes())
	const used = 51_200 - 1_000 - 120 // room for 20 calls that end alone
	env.SetCurrentHistoryLength(used)
	under, most, total := 0, 0, 0
	env.SetOnActivityStartedListener(func(*sdkactivity.Info, context.Context, converter.EncodedValues) {
		under++
		most = max(most, under)
	})
	env.SetOnActivityCompletedListener(func(*sdkactivity.Info, converter.EncodedValue, error) {
		under--
		total++
		env.SetCurrentHistoryLength(used + total*5)
	})
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		_, err := do.Map(ctx, Inputs(34), activity.Concurrency(30))
		assert.ErrorIs(t, err, activity.ErrHistoryFull)
		return nil
	})
	require.NoError(t, env.GetWorkflowError())
	assert.LessOrEqual(t, most, 20)
	assert.Equal(t, 23, total, "until the 120 events have no room for six more")
}

// A refusal is in history, and so is that there was none.
func TestMapsReplayWhetherTheyWereRefusedOrNot(t *testing.T) {
	t.Parallel()
	d, do := ScriptedWith(activity.Options{})
	big := func(ctx workflow.Context) (string, error) {
		_, err := do.Map(ctx, make([]string, 18_000), activity.Concurrency(2))
		if !errors.Is(err, activity.ErrHistoryFull) {
			return "", err
		}
		return do.Execute(ctx, "instead").Get(ctx)
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		queue, c := Queue(t), Client(t)
		Start(t, c, queue, func(w *worker.Worker) {
			worker.Register(w, d, echoes())
			w.RegisterWorkflowWithOptions(big, workflow.RegisterOptions{Name: "Flow"})
		})
		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Flow")
		require.NoError(t, err)
		out, err := resultOf[string](t, run)
		require.NoError(t, err)
		assert.Equal(t, "instead!", out)
		replaysAnywhere(t, c, run, big)
	})
	t.Run("begun before there was a bound", func(t *testing.T) {
		t.Parallel()
		queue, c := Queue(t), Client(t)
		began := make(chan string, 2)
		before := func(ctx workflow.Context) (string, error) { // as Map did
			first, second := do.Execute(ctx, ""), do.Execute(ctx, "")
			if _, err := first.Get(ctx); err != nil {
				return "", err
			}
			return second.Get(ctx)
		}
		Start(t, c, queue, func(w *worker.Worker) {
			worker.Register(w, d, &Scripted{Body: func(ctx context.Context, _ int, in string) (string, error) {
				began <- in
				<-ctx.Done()
				return "", ctx.Err()
			}})
			w.RegisterWorkflowWithOptions(before, workflow.RegisterOptions{Name: "Flow"})
		})
		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue, WorkflowTaskTimeout: time.Minute}, "Flow")
		require.NoError(t, err)
		Next(t, began)
		Next(t, began)
		history := historyOf(t, c, run)
		require.NoError(t, replayHistory(t, []sdkworker.Plugin{worker.Plugin()}, history, big))
		require.NoError(t, replayHistory(t, nil, history, big))
		require.NoError(t, c.TerminateWorkflow(t.Context(), run.GetID(), "", "enough"))
	})
}
