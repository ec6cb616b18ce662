package onserver_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

var update = flag.Bool("update", false, "record testdata/histories anew, on a real server")

// The methods of the stored histories: their names and numbers of attempts are
// in them.
var (
	recorded = activity.Define[*recorder]("Recorded", activity.Options{
		Retry:            retrypolicy.Policy{NumRetries: 2, Wait: time.Millisecond},
		CallTimeout:      time.Minute,
		HeartbeatTimeout: time.Second,
	})
	succeed = activity.Method(recorded, "Succeed", (*recorder).Succeed)
	fail    = activity.Method(recorded, "Fail", (*recorder).Fail)
	third   = activity.Method(recorded, "Third", (*recorder).Third, activity.MethodOptions[string, string]{
		RetryUntil: []validation.Validator[string]{func(s string, a retrypolicy.Attempt) error {
			if a.Number < 3 {
				return fmt.Errorf("%s is not the third", s)
			}
			return nil
		}},
		Retry: &retrypolicy.Policy{NumRetries: 2, Wait: time.Millisecond, InPlace: -1},
	})
	refused = activity.Method(recorded, "Refused", (*recorder).Refused, activity.MethodOptions[string, string]{
		RetryUntil: []validation.Validator[string]{validation.AcceptIf("never good", func(string) bool { return false })},
	})
	hang = activity.Method(recorded, "Hang", (*recorder).Hang)
)

// recorder has the bodies behind the stored histories.
type recorder struct{ hanging chan struct{} }

func (*recorder) Succeed(_ context.Context, in string) (string, error) { return in + "!", nil }
func (*recorder) Fail(context.Context, string) (string, error)         { return "", errors.New("out of luck") }
func (*recorder) Third(_ context.Context, in string) (string, error)   { return in, nil }
func (*recorder) Refused(_ context.Context, in string) (string, error) { return in, nil }
func (r *recorder) Hang(ctx context.Context, _ string) (string, error) {
	r.hanging <- struct{}{}
	<-ctx.Done()
	return "", ctx.Err()
}

// shapeOf is a workflow as it is stored: its type, and its code of today.
type shapeOf struct {
	name string
	flow func(workflow.Context) (string, error)
	// cancel tells that it is cancelled once its method runs.
	cancel bool
}

// call is a workflow of one call.
func call(h *activity.MethodHandle[*recorder, string, string]) func(workflow.Context) (string, error) {
	return func(ctx workflow.Context) (string, error) { return h.Execute(ctx, "in").Get(ctx) }
}

func local(h *activity.MethodHandle[*recorder, string, string]) func(workflow.Context) (string, error) {
	return func(ctx workflow.Context) (string, error) { return h.ExecuteLocal(ctx, "in").Get(ctx) }
}

// recovers goes on after err with what was refused.
func recovers(ctx workflow.Context, err error) (string, error) {
	var rve *validation.RetryValidationError
	if !validation.As(err, &rve) {
		return "", err
	}
	best, err := validation.Best(rve, func(s string) float64 { return float64(len(s)) })
	if err != nil {
		return "", err
	}
	return succeed.Execute(ctx, best).Get(ctx)
}

func shapesStored() []shapeOf {
	once, bad := 1, -1
	return []shapeOf{
		{name: "execute-succeeds", flow: call(succeed)},
		{name: "execute-retried", flow: call(third)},
		{name: "execute-fails", flow: call(fail)},
		{name: "execute-refused-and-recovered", flow: func(ctx workflow.Context) (string, error) {
			_, err := refused.Execute(ctx, "in").Get(ctx)
			return recovers(ctx, err)
		}},
		{name: "execute-canceled", cancel: true, flow: call(hang)},
		{name: "execute-canceled-and-awaited", cancel: true, flow: func(ctx workflow.Context) (string, error) {
			awaiting := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{WaitForCancellation: true})
			_, err := hang.Execute(awaiting, "in").Get(ctx)
			after, _ := workflow.NewDisconnectedContext(ctx)
			if out, err := succeed.Execute(after, "cleaned up").Get(after); err != nil {
				return out, err
			}
			return "", err
		}},
		{name: "execute-with-call-options", flow: func(ctx workflow.Context) (string, error) {
			changed := fail.With(activity.CallOptions{ID: "its-own", Summary: "two attempts", NumRetries: &once, CallTimeout: time.Hour})
			_, err := changed.Execute(ctx, "in").Get(ctx)
			_, alsoErr := fail.With(activity.CallOptions{NumRetries: &bad}).Execute(ctx, "never scheduled").Get(ctx)
			return fmt.Sprint(err != nil, alsoErr != nil), nil
		}},
		{name: "local-succeeds", flow: local(succeed)},
		{name: "local-retried", flow: local(third)},
		{name: "local-fails", flow: local(fail)},
		{name: "local-refused-and-recovered", flow: func(ctx workflow.Context) (string, error) {
			_, err := refused.ExecuteLocal(ctx, "in").Get(ctx)
			return recovers(ctx, err)
		}},
		{name: "several-with-a-selector", flow: func(ctx workflow.Context) (string, error) {
			var order []string
			selector := workflow.NewSelector(ctx)
			for _, f := range []activity.Future[string]{
				succeed.Execute(ctx, "a"), third.Execute(ctx, "b"), fail.Execute(ctx, "c"), succeed.ExecuteLocal(ctx, "d"),
			} {
				selector.AddFuture(f.Future(), func(workflow.Future) {
					out, err := f.Get(ctx)
					order = append(order, fmt.Sprint(out, err != nil))
				})
			}
			timer := workflow.NewTimer(ctx, time.Millisecond)
			selector.AddFuture(timer, func(workflow.Future) { order = append(order, "timer") })
			for range 5 {
				selector.Select(ctx)
			}
			// What came first decides what comes next.
			return succeed.Execute(ctx, strings.Join(order, ",")).Get(ctx)
		}},
	}
}

func stored(name string) string { return filepath.Join("testdata", "histories", name+".json") }

func TestStoredHistoriesReplay(t *testing.T) {
	t.Parallel()
	shapes := shapesStored()
	if *update {
		record(t, shapes)
	}
	files, err := filepath.Glob(stored("*"))
	require.NoError(t, err)
	assert.Len(t, files, len(shapes), "every shape has a history, and every history a shape; record them with -update")
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, replay(t, shape.name, shape.flow))
		})
	}
}

// The test above can fail.
func TestReplayFailsForAWorkflowThatHasChanged(t *testing.T) {
	t.Parallel()
	if *update {
		t.Skip("the histories are being recorded")
	}
	for name, changed := range map[string]func(workflow.Context) (string, error){
		"execute-succeeds": func(ctx workflow.Context) (string, error) { // one more
			_, _ = succeed.Execute(ctx, "extra").Get(ctx)
			return succeed.Execute(ctx, "in").Get(ctx)
		},
		"execute-fails":  call(succeed),  // another method
		"local-succeeds": call(succeed),  // no longer local
		"local-retried":  local(refused), // another method
		"execute-retried": func(workflow.Context) (string, error) { // none at all
			return "", nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := replay(t, name, changed)
			require.Error(t, err)
			assert.ErrorContains(t, err, "TMPRL1100", "Temporal's code for it")
		})
	}
}

// Numbers, waits and timeouts are not in what replay compares: a policy may
// change while workflows run.
func TestChangedPolicyReplays(t *testing.T) {
	t.Parallel()
	if *update {
		t.Skip("the histories are being recorded")
	}
	d := activity.Define[*recorder]("Recorded", activity.Options{
		Retry:       retrypolicy.Policy{NumRetries: 77, Wait: time.Hour, InPlace: -1, Backoff: retrypolicy.Fibonacci},
		CallTimeout: 24 * time.Hour, AttemptTimeout: time.Second, HeartbeatTimeout: activity.NoHeartbeat,
	})
	changed := activity.Method(d, "Fail", (*recorder).Fail)
	require.NoError(t, replay(t, "execute-fails", call(changed)))
	require.NoError(t, replay(t, "local-fails", local(changed)))
}

func replay(t *testing.T, name string, flow any) error {
	t.Helper()
	replayer, err := sdkworker.NewWorkflowReplayerWithOptions(sdkworker.WorkflowReplayerOptions{
		Plugins: []sdkworker.Plugin{worker.Plugin()},
	})
	require.NoError(t, err)
	replayer.RegisterWorkflowWithOptions(flow, workflow.RegisterOptions{Name: name})
	return replayer.ReplayWorkflowHistoryFromJSONFile(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), stored(name))
}

// record runs every shape on a real server and stores its history.
func record(t *testing.T, shapes []shapeOf) {
	t.Helper()
	c := testsuite.Dial(t, testsuite.Server(t), client.Options{
		Identity: "recorder", // not this machine's name
		Logger:   log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	impl := &recorder{hanging: make(chan struct{}, 1)}
	const queue = "recorded"
	Start(t, c, queue, func(w *worker.Worker) {
		worker.Register(w, recorded, impl)
		for _, s := range shapes {
			w.RegisterWorkflowWithOptions(s.flow, workflow.RegisterOptions{Name: s.name})
		}
	})
	for _, s := range shapes {
		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: s.name, TaskQueue: queue}, s.name)
		require.NoError(t, err)
		if s.cancel {
			<-impl.hanging
			require.NoError(t, c.CancelWorkflow(t.Context(), s.name, ""))
		}
		var out string
		err = run.Get(t.Context(), &out)
		t.Logf("%s: %q, %v", s.name, out, err)
		history := historyOf(t, c, run)
		data, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(history)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(stored(s.name), append(data, '\n'), 0o644))
	}
}

// historyOf is what the server has of a run.
func historyOf(t *testing.T, c client.Client, run client.WorkflowRun) *historypb.History {
	t.Helper()
	history := &historypb.History{}
	for events := c.GetWorkflowHistory(t.Context(), run.GetID(), run.GetRunID(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		event, err := events.Next()
		require.NoError(t, err)
		history.Events = append(history.Events, event)
	}
	return history
}
