package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/testsuite/devserver"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// way is how the server takes a submitted call.
type way string

const (
	standalone way = "standalone"
	inWorkflow way = "workflow"
)

// eachWay runs test against a server with standalone activities, and one
// without.
func eachWay(t *testing.T, test func(t *testing.T, w way)) {
	t.Helper()
	for _, w := range []way{standalone, inWorkflow} {
		t.Run(string(w), func(t *testing.T) {
			t.Parallel()
			test(t, w)
		})
	}
}

// withoutStandalone is a server with the feature switched off.
var withoutStandalone = sync.OnceValues(func() (*devserver.Server, error) {
	return devserver.Start(context.Background(), devserver.Options{
		DynamicConfig: map[string]string{"activity.enableStandalone": "false"}, Output: os.Stderr,
	})
})

func (w way) server(t *testing.T) *devserver.Server {
	t.Helper()
	if w == standalone {
		return testsuite.Server(t)
	}
	srv, err := withoutStandalone()
	require.NoError(t, err)
	return srv
}

// dial is a connection of its own, as another process has it.
func (w way) dial(t *testing.T, data ...converter.DataConverter) client.Client {
	t.Helper()
	o := client.Options{
		Logger:  log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		Plugins: []client.Plugin{worker.Plugin()},
	}
	for _, dc := range data {
		o.DataConverter = dc
	}
	c, err := w.server(t).Dial(o)
	require.NoError(t, err)
	return c
}

func (w way) client(t *testing.T) client.Client {
	t.Helper()
	c := w.dial(t)
	t.Cleanup(c.Close)
	return c
}

// hosted is a method with a worker, and a client of another process.
func (w way) hosted(t *testing.T, p retrypolicy.Policy, impl *scripted, validators ...validation.Validator[string]) (client.Client, activity.Handle[string, string]) {
	t.Helper()
	queue := Queue(t)
	d, do := define(t, InPlace, p, validators...)
	Start(t, w.client(t), queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	return w.client(t), do.With(activity.CallOptions{TaskQueue: queue})
}

func TestSubmitReturnsTheResult(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		impl := &scripted{body: func(_ context.Context, n int, in string) (string, error) {
			if n < 3 {
				return "", errors.New("not yet")
			}
			return in + "!", nil
		}}
		c, do := w.hosted(t, retrypolicy.Policy{NumRetries: 5}, impl)
		call, err := do.Submit(t.Context(), c, "hello")
		require.NoError(t, err)
		assert.Equal(t, w == standalone, call.Standalone())
		assert.Equal(t, w == standalone, call.Handle() != nil)
		out, err := call.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "hello!", out)
		assert.EqualValues(t, 3, impl.started.Load())

		d, err := call.Describe(t.Context())
		require.NoError(t, err)
		assert.False(t, d.Submitted.IsZero() || d.Started.Before(d.Submitted.Add(-time.Second)) || d.Closed.Before(d.Started), "%+v", d)
		d.Submitted, d.Started, d.Closed = time.Time{}, time.Time{}, time.Time{}
		assert.Equal(t, activity.Description{
			ID: call.ID(), RunID: call.RunID(), ActivityType: "Scripted.Do", TaskQueue: d.TaskQueue,
			Standalone: w == standalone, State: activity.CallCompleted, ServerAttempts: 1,
		}, d)
		assert.True(t, d.State.Ended())
	})
}

func TestSubmittedBodiesStartedAreNumRetriesPlusOne(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		for _, retries := range []int{0, 1, 5} {
			for _, callers := range []bool{false, true} { // whose number it is
				t.Run(fmt.Sprint(retries, " caller's ", callers), func(t *testing.T) {
					t.Parallel()
					impl := &scripted{body: func(_ context.Context, n int, _ string) (string, error) {
						return "", fmt.Errorf("failure %d", n)
					}}
					p := retrypolicy.Policy{NumRetries: retries}
					o := activity.CallOptions{TaskQueue: Queue(t)}
					if callers {
						p.NumRetries, o.NumRetries = 3, &retries
					}
					d, do := define(t, InPlace, p)
					c := w.client(t)
					Start(t, c, o.TaskQueue, func(w *worker.Worker) { worker.Register(w, d, impl) })
					call, err := do.With(o).Submit(t.Context(), c, "x")
					require.NoError(t, err)
					_, err = call.Get(t.Context())
					require.ErrorContains(t, err, fmt.Sprintf("failure %d", retries+1))
					assert.EqualValues(t, retries+1, impl.started.Load())
				})
			}
		}
	})
}

func TestSubmittedCallFailsWithTheMethodsErrorItself(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		for name, cause := range map[string]error{
			"a plain cause":          errors.New("bank said so"),
			"a cancellation's cause": temporal.NewCanceledError("the bank's own"),
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				impl := &scripted{body: func(context.Context, int, string) (string, error) {
					return "", temporal.NewApplicationErrorWithOptions("no funds", "Declined", temporal.ApplicationErrorOptions{
						Details: []any{"card", 42}, Cause: cause,
					})
				}}
				c, do := w.hosted(t, retrypolicy.Policy{NumRetries: 1}, impl)
				call, err := do.Submit(t.Context(), c, "")
				require.NoError(t, err)
				_, err = call.Get(t.Context())
				app, ok := err.(*temporal.ApplicationError)
				require.True(t, ok, "%T %v", err, err)
				assert.Equal(t, "Declined", app.Type())
				assert.Equal(t, "no funds", app.Message())
				assert.True(t, app.NonRetryable())
				assert.Equal(t, temporal.ApplicationErrorCategoryUnspecified, app.Category())
				var kind string
				var code int
				require.NoError(t, app.Details(&kind, &code))
				assert.Equal(t, "card 42", fmt.Sprint(kind, " ", code))
				if !temporal.IsCanceledError(cause) {
					require.ErrorContains(t, app.Unwrap(), cause.Error())
				}
				assert.EqualValues(t, 2, impl.started.Load())

				d, err := call.Describe(t.Context())
				require.NoError(t, err)
				assert.Equal(t, activity.CallFailed, d.State)
				assert.Contains(t, d.LastFailure, "no funds")
			})
		}
	})
}

func TestSubmittedCallsRefusedResultsComeBack(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		impl := &scripted{body: func(_ context.Context, n int, in string) (string, error) { return fmt.Sprintf("%s%d", in, n), nil }}
		c, do := w.hosted(t, retrypolicy.Policy{NumRetries: 2}, impl, func(s string, a retrypolicy.Attempt) error {
			return fmt.Errorf("%s is bad in attempt %d", s, a.Number)
		})
		call, err := do.Submit(t.Context(), c, "r")
		require.NoError(t, err)
		_, err = call.Get(t.Context())
		_, ok := err.(*temporal.ApplicationError)
		assert.True(t, ok, "%T %v", err, err)
		var rve *validation.RetryValidationError
		require.True(t, validation.As(err, &rve), "%v", err)
		assert.Equal(t, "Scripted.Do", rve.MethodName)
		assert.Equal(t, 3, rve.Attempts)
		all, err := validation.Results[string](rve)
		require.NoError(t, err)
		assert.Equal(t, []string{"r1", "r2", "r3"}, all)
	})
}

func TestCancelEndsASubmittedCall(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		running := make(chan struct{}, 1)
		impl := &scripted{body: func(ctx context.Context, _ int, _ string) (string, error) {
			running <- struct{}{}
			<-ctx.Done()
			return "", ctx.Err()
		}}
		queue, c := Queue(t), w.client(t)
		d := activity.Define[*scripted]("Scripted", activity.Options{
			Retry: retrypolicy.Policy{NumRetries: 5}, CallTimeout: time.Minute, HeartbeatTimeout: time.Second, TaskQueue: queue,
		})
		do := activity.Method(d, "Do", (*scripted).Do, activity.MethodOptions[string, string]{})
		Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
		call, err := do.Submit(t.Context(), c, "")
		require.NoError(t, err)
		<-running
		got, err := call.Describe(t.Context())
		require.NoError(t, err)
		assert.Equal(t, activity.CallRunning, got.State)
		assert.Equal(t, 1, got.ServerAttempts)

		require.NoError(t, call.Cancel(t.Context(), "enough"))
		require.NoError(t, call.Cancel(t.Context(), "twice is no error"))
		_, err = call.Get(t.Context())
		_, ok := err.(*temporal.CanceledError)
		assert.True(t, ok, "%T %v", err, err)
		assert.EqualValues(t, 1, impl.started.Load(), "a canceled call is not retried")
		require.NoError(t, call.Cancel(t.Context(), "after the end neither"))
		got, err = call.Describe(t.Context())
		require.NoError(t, err)
		assert.Equal(t, activity.CallCanceled, got.State)
	})
}

func TestCancelBeforeAnyWorker(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		impl := &scripted{}
		queue, c := Queue(t), w.client(t)
		d, do := define(t, InPlace, retrypolicy.Policy{NumRetries: 5})
		call, err := do.With(activity.CallOptions{TaskQueue: queue}).Submit(t.Context(), c, "")
		require.NoError(t, err)
		got, err := call.Describe(t.Context())
		require.NoError(t, err)
		assert.Equal(t, activity.CallWaiting, got.State)
		assert.Zero(t, got.ServerAttempts)
		assert.True(t, got.Started.IsZero() && got.Closed.IsZero(), "%+v", got)
		require.NoError(t, call.Cancel(t.Context(), "enough"))
		Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
		_, err = call.Get(t.Context())
		_, ok := err.(*temporal.CanceledError)
		assert.True(t, ok, "%T %v", err, err)
		assert.Zero(t, impl.started.Load())
	})
}

func TestCallTimeoutEndsASubmittedCall(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		for name, c := range map[string]struct {
			policy retrypolicy.Policy
			err    error
			state  activity.CallState
		}{
			"the engine raises it": {retrypolicy.Policy{NumRetries: 3}, &temporal.ApplicationError{}, activity.CallFailed},
			"the server raises it": {retrypolicy.Policy{}, &temporal.TimeoutError{}, activity.CallTimedOut},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				impl := &scripted{body: func(ctx context.Context, _ int, _ string) (string, error) {
					<-ctx.Done()
					return "", ctx.Err()
				}}
				queue, tc := Queue(t), w.client(t)
				d, do := define(t, InPlace, c.policy)
				Start(t, tc, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
				started := time.Now()
				call, err := do.With(activity.CallOptions{TaskQueue: queue, CallTimeout: 1500 * time.Millisecond}).Submit(t.Context(), tc, "")
				require.NoError(t, err)
				_, err = call.Get(t.Context())
				assert.Equal(t, fmt.Sprintf("%T", c.err), fmt.Sprintf("%T", err), "%v", err)
				assert.Less(t, time.Since(started), 8*time.Second)
				assert.EqualValues(t, 1, impl.started.Load())
				got, err := call.Describe(t.Context())
				require.NoError(t, err)
				assert.Equal(t, c.state, got.State)
				assert.Equal(t, 1, got.ServerAttempts)
			})
		}
	})
}

func TestSubmitToNobodyEndsByItsCallTimeout(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		c := w.client(t)
		_, do := define(t, InPlace, retrypolicy.Policy{NumRetries: 5})
		call, err := do.With(activity.CallOptions{TaskQueue: Queue(t), CallTimeout: time.Second}).Submit(t.Context(), c, "")
		require.NoError(t, err)
		_, err = call.Get(t.Context())
		timeout, ok := err.(*temporal.TimeoutError)
		require.True(t, ok, "%T %v", err, err)
		assert.Equal(t, enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, timeout.TimeoutType())
		got, err := call.Describe(t.Context())
		require.NoError(t, err)
		assert.Equal(t, activity.CallTimedOut, got.State)
		assert.Zero(t, got.ServerAttempts)
		assert.Equal(t, timeout.Error(), got.LastFailure)
	})
}

func TestACallOutlivesItsCallerAndIsFoundByID(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		running, goOn := make(chan struct{}, 1), make(chan struct{})
		impl := &scripted{body: func(_ context.Context, _ int, in string) (string, error) {
			running <- struct{}{}
			<-goOn
			return in + " done", nil
		}}
		queue := Queue(t)
		d, do := define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
		Start(t, w.client(t), queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
		id := queue + "/job 7"

		caller := w.dial(t)
		call, err := do.With(activity.CallOptions{TaskQueue: queue, ID: id}).Submit(t.Context(), caller, "job 7")
		require.NoError(t, err)
		assert.Equal(t, id, call.ID())
		<-running
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("the caller is gone")
		time.AfterFunc(50*time.Millisecond, func() { cancel(gone) })
		_, err = call.Get(ctx)
		require.ErrorIs(t, err, gone)
		require.ErrorContains(t, err, fmt.Sprintf("Scripted.Do: Get: call ID %q: the caller is gone; it goes on", id))
		caller.Close()

		other := w.client(t)
		_, err = do.With(activity.CallOptions{TaskQueue: queue, ID: id}).Submit(t.Context(), other, "job 7")
		require.ErrorIs(t, err, activity.ErrIDInUse)
		require.ErrorContains(t, err, fmt.Sprintf("Scripted.Do: Submit: call ID %q", id))

		// A client that has never submitted.
		again, err := do.Attach(t.Context(), w.client(t), id)
		require.NoError(t, err)
		assert.Equal(t, call.RunID(), again.RunID())
		assert.Equal(t, w == standalone, again.Standalone())
		close(goOn)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				out, err := again.Get(t.Context())
				assert.NoError(t, err)
				assert.Equal(t, "job 7 done", out)
			})
		}
		all.Wait()

		// Results stay; the ID is free again.
		late, err := do.Attach(t.Context(), w.client(t), id)
		require.NoError(t, err)
		out, err := late.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "job 7 done", out)
		next, err := do.With(activity.CallOptions{TaskQueue: queue, ID: id}).Submit(t.Context(), other, "job 8")
		require.NoError(t, err)
		assert.NotEqual(t, call.RunID(), next.RunID())
		out, err = next.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "job 8 done", out)
		out, err = late.Get(t.Context())
		require.NoError(t, err, "a call is its own run, also when its ID was used again")
		assert.Equal(t, "job 7 done", out)
	})
}

func TestAttachedCallCanBeCanceled(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		_, do := define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
		call, err := do.With(activity.CallOptions{TaskQueue: Queue(t)}).Submit(t.Context(), w.client(t), "")
		require.NoError(t, err)
		again, err := do.Attach(t.Context(), w.client(t), call.ID())
		require.NoError(t, err)
		require.NoError(t, again.Cancel(t.Context(), "no longer wanted"))
		d, err := again.Describe(t.Context())
		require.NoError(t, err)
		assert.Contains(t, []activity.CallState{activity.CallCanceling, activity.CallCanceled}, d.State)
	})
}

func TestTerminatedCallSaysSo(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		_, do := define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
		c := w.client(t)
		call, err := do.With(activity.CallOptions{TaskQueue: Queue(t)}).Submit(t.Context(), c, "")
		require.NoError(t, err)
		if call.Standalone() {
			err = call.Handle().Terminate(t.Context(), client.TerminateActivityOptions{Reason: "an operator"})
		} else {
			err = c.TerminateWorkflow(t.Context(), call.ID(), call.RunID(), "an operator")
		}
		require.NoError(t, err)
		_, err = call.Get(t.Context())
		_, ok := err.(*temporal.TerminatedError)
		assert.True(t, ok, "%T %v", err, err)
		d, err := call.Describe(t.Context())
		require.NoError(t, err)
		assert.Equal(t, activity.CallTerminated, d.State)
	})
}

func TestAttachNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		c, queue := w.client(t), Queue(t)
		d, do := define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
		other := activity.Method(d, "Again", (*scripted).Again, activity.MethodOptions[int, int]{})
		_, err := do.Attach(t.Context(), c, queue)
		require.ErrorIs(t, err, activity.ErrUnknownID)
		require.ErrorContains(t, err, fmt.Sprintf("Scripted.Do: Attach: call ID %q: the server knows no call with this ID", queue))
		_, err = do.Attach(t.Context(), c, "")
		require.EqualError(t, err, "Scripted.Do: Attach: the ID is empty")
		_, err = do.Attach(t.Context(), nil, "x")
		require.EqualError(t, err, "Scripted.Do: Attach: the client is nil")

		call, err := do.With(activity.CallOptions{TaskQueue: queue}).Submit(t.Context(), c, "")
		require.NoError(t, err)
		_, err = other.Attach(t.Context(), c, call.ID())
		require.EqualError(t, err, fmt.Sprintf("Scripted.Again: Attach: call ID %q: it is a call of Scripted.Do", call.ID()))

		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: queue}, "SomebodyElses")
		require.NoError(t, err)
		_, err = do.Attach(t.Context(), c, run.GetID())
		require.ErrorIs(t, err, activity.ErrUnknownID)
		require.ErrorContains(t, err, "it is a workflow of type SomebodyElses")
	})
}

// Again has other types than Do.
func (s *scripted) Again(_ context.Context, n int) (int, error) { return n, nil }

func TestDescribeBetweenServerAttempts(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		impl := &scripted{body: func(_ context.Context, n int, _ string) (string, error) { return "", fmt.Errorf("failure %d", n) }}
		queue, c := Queue(t), w.client(t)
		d, do := define(t, OnServer, retrypolicy.Policy{NumRetries: 3, Wait: 10 * time.Second, Jitter: retrypolicy.NoJitter})
		Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
		call, err := do.With(activity.CallOptions{TaskQueue: queue}).Submit(t.Context(), c, "")
		require.NoError(t, err)
		var got activity.Description
		require.Eventually(t, func() bool {
			got, err = call.Describe(t.Context())
			return err != nil || got.State == activity.CallWaiting && got.LastFailure != ""
		}, 10*time.Second, 20*time.Millisecond)
		require.NoError(t, err)
		assert.Equal(t, 1, got.ServerAttempts)
		assert.Contains(t, got.LastFailure, "failure 1")
		assert.False(t, got.State.Ended())
		assert.Equal(t, w == inWorkflow, got.Started.IsZero())
		require.NoError(t, call.Cancel(t.Context(), "seen"))
		_, err = call.Get(t.Context())
		_, ok := err.(*temporal.CanceledError)
		assert.True(t, ok, "%T %v", err, err)
	})
}

// counted counts the requests of Submit.
type counted struct {
	client.Client

	activities, workflows, describes atomic.Int64
}

func (c *counted) ExecuteActivity(ctx context.Context, o client.StartActivityOptions, activity any, args ...any) (client.ActivityHandle, error) {
	c.activities.Add(1)
	return c.Client.ExecuteActivity(ctx, o, activity, args...)
}

func (c *counted) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	c.workflows.Add(1)
	return c.Client.ExecuteWorkflow(ctx, o, workflow, args...)
}

func (c *counted) DescribeTaskQueue(ctx context.Context, queue string, kind enumspb.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error) {
	c.describes.Add(1)
	return c.Client.DescribeTaskQueue(ctx, queue, kind)
}

func TestTheWayIsChosenOncePerClient(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		impl := &scripted{body: func(_ context.Context, _ int, in string) (string, error) { return in, nil }}
		inner, do := w.hosted(t, retrypolicy.Policy{NumRetries: 1}, impl)
		c := &counted{Client: inner}
		for range 3 {
			call, err := do.Submit(t.Context(), c, "x")
			require.NoError(t, err)
			_, err = call.Get(t.Context())
			require.NoError(t, err)
		}
		counts := [3]int64{c.activities.Load(), c.workflows.Load(), c.describes.Load()}
		if w == standalone {
			assert.Equal(t, [3]int64{3, 0, 0}, counts, "a server that has standalone activities is asked for nothing else")
			return
		}
		assert.Equal(t, [2]int64{1, 3}, [2]int64(counts[:2]), "it is tried once")
		assert.Positive(t, counts[2])
		described := counts[2]
		_, err := do.Submit(t.Context(), c, "x")
		require.NoError(t, err)
		assert.Equal(t, described, c.describes.Load(), "a queue with workflow workers is known by then")
	})
}

func TestActivityOnlyWorkersCallerGetsAClearError(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		impl := &scripted{body: func(_ context.Context, _ int, in string) (string, error) { return in, nil }}
		queue, c := Queue(t), w.client(t)
		d, do := define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
		activitiesOnly := worker.New(c, queue, worker.Options{DisableWorkflowWorker: true})
		worker.Register(activitiesOnly, d, impl)
		require.NoError(t, activitiesOnly.Start())
		t.Cleanup(activitiesOnly.Stop)
		require.Eventually(t, func() bool {
			d, err := c.DescribeTaskQueue(t.Context(), queue, enumspb.TASK_QUEUE_TYPE_ACTIVITY)
			return err != nil || len(d.GetPollers()) > 0
		}, 10*time.Second, 10*time.Millisecond)
		submit := func() (*activity.Call[string], error) {
			return do.With(activity.CallOptions{TaskQueue: queue}).Submit(t.Context(), c, "x")
		}
		call, err := submit()
		if w == inWorkflow {
			require.ErrorIs(t, err, activity.ErrStandaloneUnsupported)
			require.ErrorContains(t, err, fmt.Sprintf("the workers of task queue %q run activities only: run one there with workflows enabled", queue))
			// A worker that runs workflows, and nothing else, is enough.
			Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
			call, err = submit()
		}
		require.NoError(t, err)
		out, err := call.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "x", out)
	})
}

// arities has a method of each number of arguments.
type arities struct{}

type point struct{ X, Y int }

func (*arities) None(context.Context) (string, error)              { return "none", nil }
func (*arities) Nothing(_ context.Context, _ []byte) error         { return nil }
func (*arities) Bytes(_ context.Context, b []byte) ([]byte, error) { return append(b, '!'), nil }

func (*arities) Two(_ context.Context, p *point, n int) (*point, error) {
	return &point{p.X + n, p.Y}, nil
}

func (*arities) Three(_ context.Context, a string, b map[string]int, c []point) (string, error) {
	return fmt.Sprint(a, b, c), nil
}

func TestSubmitPassesAnyNumberAndTypeOfArguments(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		queue, c := Queue(t), w.client(t)
		d := activity.Define[*arities]("Arities", activity.Options{CallTimeout: time.Minute, TaskQueue: queue, Retry: retrypolicy.Policy{NumRetries: 1}})
		none := activity.Method(d, "None", activity.NoInput((*arities).None), activity.MethodOptions[activity.None, string]{})
		nothing := activity.Method(d, "Nothing", activity.NoOutput((*arities).Nothing), activity.MethodOptions[[]byte, activity.None]{})
		raw := activity.Method(d, "Bytes", (*arities).Bytes, activity.MethodOptions[[]byte, []byte]{})
		two := activity.Method(d, "Two", activity.Two((*arities).Two), activity.MethodOptions[activity.Args2[*point, int], *point]{})
		three := activity.Method(d, "Three", activity.Three((*arities).Three), activity.MethodOptions[activity.Args3[string, map[string]int, []point], string]{})
		Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, &arities{}) })

		assert.Equal(t, "none", result(t, c, none.Handle, activity.None{}))
		assert.Equal(t, activity.None{}, result(t, c, nothing.Handle, []byte("x")))
		assert.Equal(t, []byte("\x00!"), result(t, c, raw.Handle, []byte{0}))
		assert.Equal(t, &point{4, 2}, result(t, c, two.Handle, activity.Args2[*point, int]{A: &point{1, 2}, B: 3}))
		assert.Equal(t, "amap[b:1] [{1 2}]", result(t, c, three.Handle, activity.Args3[string, map[string]int, []point]{A: "a", B: map[string]int{"b": 1}, C: []point{{1, 2}}}))
	})
}

func result[In, Out any](t *testing.T, c client.Client, h activity.Handle[In, Out], in In) Out {
	t.Helper()
	call, err := h.Submit(t.Context(), c, in)
	require.NoError(t, err)
	out, err := call.Get(t.Context())
	require.NoError(t, err)
	return out
}

// scrambled is a codec that leaves nothing readable.
type scrambled struct{}

func (scrambled) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		data, err := p.Marshal()
		if err != nil {
			return nil, err
		}
		slices.Reverse(data)
		out[i] = &commonpb.Payload{Metadata: map[string][]byte{converter.MetadataEncoding: []byte("binary/scrambled")}, Data: data}
	}
	return out, nil
}

func (scrambled) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if string(p.GetMetadata()[converter.MetadataEncoding]) != "binary/scrambled" {
			return nil, fmt.Errorf("payload in the clear: %v", p)
		}
		data := slices.Clone(p.GetData())
		slices.Reverse(data)
		out[i] = &commonpb.Payload{}
		if err := out[i].Unmarshal(data); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func TestSubmitPassesEverythingThroughTheUsersCodec(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		dc := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), scrambled{})
		c := w.dial(t, dc)
		t.Cleanup(c.Close)
		impl := &scripted{body: func(_ context.Context, n int, in string) (string, error) { return fmt.Sprint(in, n), nil }}
		queue := Queue(t)
		d, do := define(t, InPlace, retrypolicy.Policy{NumRetries: 1}, func(s string, _ retrypolicy.Attempt) error {
			if strings.HasPrefix(s, "bad") {
				return errors.New("bad it is")
			}
			return nil
		})
		Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
		h := do.With(activity.CallOptions{TaskQueue: queue})
		assert.Equal(t, "good1", result(t, c, h, "good"))
		call, err := h.Submit(t.Context(), c, "bad")
		require.NoError(t, err)
		call, err = do.Attach(t.Context(), c, call.ID())
		require.NoError(t, err)
		_, err = call.Get(t.Context())
		var rve *validation.RetryValidationError
		require.True(t, validation.As(err, &rve), "%v", err)
		all, err := validation.Results[string](rve)
		require.NoError(t, err)
		assert.Equal(t, []string{"bad2", "bad3"}, all)
	})
}

func TestFallbackWorkflowReplays(t *testing.T) {
	t.Parallel()
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprint("fails ", fails), func(t *testing.T) {
			t.Parallel()
			impl := &scripted{body: func(_ context.Context, _ int, in string) (string, error) {
				if fails {
					return "", errors.New("no")
				}
				return in, nil
			}}
			c, do := inWorkflow.hosted(t, retrypolicy.Policy{NumRetries: 1}, impl)
			call, err := do.Submit(t.Context(), c, "x")
			require.NoError(t, err)
			_, err = call.Get(t.Context())
			assert.Equal(t, fails, err != nil)
			history := &historypb.History{}
			events := c.GetWorkflowHistory(t.Context(), call.ID(), call.RunID(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
			for events.HasNext() {
				event, err := events.Next()
				require.NoError(t, err)
				history.Events = append(history.Events, event)
			}
			replayer, err := sdkworker.NewWorkflowReplayerWithOptions(sdkworker.WorkflowReplayerOptions{Plugins: []sdkworker.Plugin{worker.Plugin()}})
			require.NoError(t, err)
			require.NoError(t, replayer.ReplayWorkflowHistory(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), history))
			started := history.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes()
			assert.Equal(t, "concurry.Call", started.GetWorkflowType().GetName())
			assert.Equal(t, 70*time.Second, started.GetWorkflowRunTimeout().AsDuration(), "CallTimeout and a little more")
		})
	}
}
