package onserver_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/worker"
)

// replayHistory replays a history of the workflow "Flow", with our plugin or as
// Temporal's replayer does by default.
func replayHistory(t *testing.T, plugins []sdkworker.Plugin, history *historypb.History, flow any) error {
	t.Helper()
	replayer, err := sdkworker.NewWorkflowReplayerWithOptions(sdkworker.WorkflowReplayerOptions{Plugins: plugins})
	require.NoError(t, err)
	replayer.RegisterWorkflowWithOptions(flow, workflow.RegisterOptions{Name: "Flow"})
	return replayer.ReplayWorkflowHistory(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), history)
}

// replaysAnywhere requires that a run's history replays with our plugin, and
// without.
func replaysAnywhere(t *testing.T, c client.Client, run client.WorkflowRun, flow any) {
	t.Helper()
	history := historyOf(t, c, run)
	require.NoError(t, replayHistory(t, []sdkworker.Plugin{worker.Plugin()}, history, flow), "with the plugin")
	require.NoError(t, replayHistory(t, nil, history, flow), "without a plugin")
}

// plainWorker starts a worker of Temporal's, without our plugin.
func plainWorker(t *testing.T, c client.Client, queue string, flow any) {
	t.Helper()
	w := sdkworker.New(c, queue, sdkworker.Options{})
	w.RegisterWorkflowWithOptions(flow, workflow.RegisterOptions{Name: "Flow"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
}

// resultOf waits for the end of a run, for Timeout.
func resultOf[T any](t *testing.T, run client.WorkflowRun) (out T, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Timeout)
	defer cancel()
	return out, run.Get(ctx, &out)
}

func echoes() *Scripted {
	return &Scripted{Body: func(_ context.Context, _ int, in string) (string, error) { return in + "!", nil }}
}

func TestCallsThatNeedAHeaderReplayWithoutThePlugin(t *testing.T) {
	t.Parallel()
	d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 3})
	limited, inLimits := ScriptedWith(activity.Options{Limits: limits.PerSession(limits.Resource("c", 1)), Requires: limits.Units{"c": 1}})
	once := 1
	for name, shape := range map[string]struct {
		d    *activity.Definition[*Scripted]
		call func(ctx workflow.Context, in string) (string, error)
	}{
		"NumRetries": {d, func(ctx workflow.Context, in string) (string, error) {
			return do.With(activity.CallOptions{NumRetries: &once}).Execute(ctx, in).Get(ctx)
		}},
		"AttemptTimeout": {d, func(ctx workflow.Context, in string) (string, error) {
			return do.With(activity.CallOptions{AttemptTimeout: 20 * time.Second}).Execute(ctx, in).Get(ctx)
		}},
		"a local call": {d, func(ctx workflow.Context, in string) (string, error) {
			return do.With(activity.CallOptions{NumRetries: &once}).ExecuteLocal(ctx, in).Get(ctx)
		}},
		"a session": {limited, func(ctx workflow.Context, in string) (out string, err error) {
			return out, activity.InSession(ctx, options(), func(ctx workflow.Context) error {
				out, err = inLimits.Execute(ctx, in).Get(ctx)
				return err
			})
		}},
		"a map": {d, func(ctx workflow.Context, in string) (string, error) {
			outs, err := do.With(activity.CallOptions{NumRetries: &once}).Map(ctx, []string{in, in, in}, activity.Concurrency(2))
			return outs[2], err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queue, c := Queue(t), Client(t)
			flow := func(ctx workflow.Context) (string, error) {
				out, err := shape.call(ctx, "in")
				if err != nil {
					return "", err
				}
				return shape.call(ctx, out)
			}
			w := worker.New(c, queue, worker.Options{EnableSessionWorker: true})
			worker.Register(w, shape.d, echoes())
			w.RegisterWorkflowWithOptions(flow, workflow.RegisterOptions{Name: "Flow"})
			require.NoError(t, w.Start())
			t.Cleanup(w.Stop)
			run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Flow")
			require.NoError(t, err)
			out, err := resultOf[string](t, run)
			require.NoError(t, err)
			require.Equal(t, "in!!", out)
			replaysAnywhere(t, c, run, flow)
		})
	}
}

// A workflow that has made such a call moves to a worker without the plugin:
// what is over replays there, and a new one is refused, now and in replay.
func TestWorkerWithoutThePluginTakesAWorkflowOver(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 3})
	once := 1
	flow := func(ctx workflow.Context) ([]string, error) {
		call := do.With(activity.CallOptions{NumRetries: &once, TaskQueue: queue + "-bodies"})
		out, err := call.Execute(ctx, "in").Get(ctx)
		if err != nil {
			return nil, err
		}
		answers := []string{out}
		workflow.GetSignalChannel(ctx, "go on").Receive(ctx, nil)
		for range 2 {
			_, err = call.Execute(ctx, "refused").Get(ctx)
			answers = append(answers, err.Error())
		}
		out, err = do.With(activity.CallOptions{TaskQueue: queue + "-bodies"}).Execute(ctx, "nothing to send").Get(ctx)
		answers = append(answers, out)
		if err != nil {
			return nil, err
		}
		_, err = call.Execute(ctx, "refused again").Get(ctx)
		return append(answers, err.Error()), nil
	}
	Start(t, c, queue+"-bodies", func(w *worker.Worker) { worker.Register(w, d, echoes()) })
	first := worker.New(c, queue, worker.Options{})
	first.RegisterWorkflowWithOptions(flow, workflow.RegisterOptions{Name: "Flow"})
	require.NoError(t, first.Start())
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Flow")
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the call is over
		history := historyOf(t, c, run).GetEvents()
		return history[len(history)-1].GetWorkflowTaskCompletedEventAttributes() != nil && len(history) > 6
	}, Timeout, 10*time.Millisecond)
	first.Stop()

	plainWorker(t, c, queue, flow)
	require.NoError(t, c.SignalWorkflow(t.Context(), run.GetID(), run.GetRunID(), "go on", nil))
	answers, err := resultOf[[]string](t, run)
	require.NoError(t, err)
	const refused = "Scripted.Do: NumRetries and AttemptTimeout of CallOptions, and sessions, need concurry's plugin where the call is made: " +
		"worker.New has it; other workers and clients take worker.Plugin() among their Plugins"
	assert.Equal(t, []string{"in!", refused, refused, "nothing to send!", refused}, answers)
	require.NoError(t, replayHistory(t, nil, historyOf(t, c, run), flow))
}
