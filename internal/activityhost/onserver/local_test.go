package onserver_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
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
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// eachLocal runs test where there are local activities.
func eachLocal(t *testing.T, test func(t *testing.T, e Engine)) {
	t.Helper()
	for _, e := range []Engine{Environment, InPlace} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			test(t, e)
		})
	}
}

// runWorkflow runs one workflow whose worker hosts a definition.
func runWorkflow(t *testing.T, e Engine, d *activity.Definition[*Scripted], impl *Scripted, flow func(workflow.Context) (string, error)) (string, error) {
	t.Helper()
	var out string
	if e == Environment {
		env := testsuite.NewWorkflowEnvironment(t)
		env.SetTestTimeout(Timeout)
		testsuite.Register(t, env, d, impl)
		env.RegisterWorkflow(flow)
		env.ExecuteWorkflow(flow)
		require.True(t, env.IsWorkflowCompleted())
		if err := env.GetWorkflowError(); err != nil {
			return "", err
		}
		return out, env.GetWorkflowResult(&out)
	}
	queue, c := Queue(t), Client(t)
	Start(t, c, queue, func(w *worker.Worker) {
		worker.Register(w, d, impl)
		w.RegisterWorkflow(flow)
	})
	ctx, cancel := context.WithTimeout(t.Context(), Timeout)
	defer cancel()
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, flow)
	require.NoError(t, err)
	err = run.Get(ctx, &out)
	return out, err
}

// runLocal runs one call of do as a local activity.
func runLocal(t *testing.T, e Engine, d *activity.Definition[*Scripted], do *ScriptedHandle, impl *Scripted, in string) (string, error) {
	t.Helper()
	return runWorkflow(t, e, d, impl, func(ctx workflow.Context) (string, error) { return do.ExecuteLocal(ctx, in).Get(ctx) })
}

func TestLocalBodiesStartedAreNumRetriesPlusOne(t *testing.T) {
	t.Parallel()
	for _, retries := range []int{0, 1, 5} {
		t.Run(fmt.Sprintf("errors/%d", retries), func(t *testing.T) {
			t.Parallel()
			eachLocal(t, func(t *testing.T, e Engine) {
				impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) {
					return "", temporal.NewApplicationError(fmt.Sprintf("failure %d", n), "Declined", "card")
				}}
				// InPlace -1 means nothing here: there is no server to wait.
				d, do := Define(t, OnServer, retrypolicy.Policy{NumRetries: retries})
				_, err := runLocal(t, e, d, do, impl, "")
				require.ErrorContains(t, err, fmt.Sprintf("failure %d", retries+1))
				var app *temporal.ApplicationError
				require.ErrorAs(t, err, &app)
				assert.Equal(t, "Declined", app.Type())
				var detail string
				require.NoError(t, app.Details(&detail))
				assert.Equal(t, "card", detail)
				assert.EqualValues(t, retries+1, impl.Started.Load())
			})
		})
		t.Run(fmt.Sprintf("refusals/%d", retries), func(t *testing.T) {
			t.Parallel()
			eachLocal(t, func(t *testing.T, e Engine) {
				impl := &Scripted{Body: func(_ context.Context, n int, in string) (string, error) { return fmt.Sprint(in, n), nil }}
				d, do := Define(t, OnServer, retrypolicy.Policy{NumRetries: retries}, func(s string, a retrypolicy.Attempt) error {
					return fmt.Errorf("%s is bad in attempt %d", s, a.Number)
				})
				_, err := runLocal(t, e, d, do, impl, "r")
				assert.EqualValues(t, retries+1, impl.Started.Load())
				var rve *validation.RetryValidationError
				require.True(t, validation.As(err, &rve), "%v", err)
				assert.Equal(t, retries+1, rve.Attempts)
				all, err := validation.Results[string](rve)
				require.NoError(t, err)
				require.Len(t, all, retries+1)
				assert.Equal(t, fmt.Sprint("r", retries+1), all[retries])
				assert.Equal(t, fmt.Sprintf("r%d is bad in attempt %[1]d", retries+1), rve.ValidationErrors[retries])
			})
		})
	}
}

func TestLocalRefusalsCanBeReadInsideTheWorkflow(t *testing.T) {
	t.Parallel()
	eachLocal(t, func(t *testing.T, e Engine) {
		impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) { return fmt.Sprint("result ", n), nil }}
		d, do := Define(t, e, retrypolicy.Policy{NumRetries: 2}, validation.AcceptIf("no good", func(string) bool { return false }))
		out, err := runWorkflow(t, e, d, impl, func(ctx workflow.Context) (string, error) {
			_, err := do.ExecuteLocal(ctx, "").Get(ctx)
			var rve *validation.RetryValidationError
			if !validation.As(err, &rve) {
				return "", err
			}
			return validation.Best(rve, func(s string) float64 { return float64(s[len(s)-1]) })
		})
		require.NoError(t, err)
		assert.Equal(t, "result 3", out)
	})
}

func TestLocalCallSucceedsAfterFailuresWithThePreviousOnesAtHand(t *testing.T) {
	t.Parallel()
	eachLocal(t, func(t *testing.T, e Engine) {
		impl := &Scripted{Body: func(ctx context.Context, n int, in string) (string, error) {
			if n < 3 {
				return "", errors.New("not yet")
			}
			return fmt.Sprint(in, " after ", len(activity.Previous(ctx)), ", server attempt ", activity.GetInfo(ctx).Attempt), nil
		}}
		d, do := Define(t, e, retrypolicy.Policy{NumRetries: 5})
		out, err := runLocal(t, e, d, do, impl, "hello")
		require.NoError(t, err)
		assert.Equal(t, "hello after 2, server attempt 1", out)
		assert.EqualValues(t, 3, impl.Started.Load())
	})
}

func TestLocalCallOptionsArriveByTheHeader(t *testing.T) {
	t.Parallel()
	eachLocal(t, func(t *testing.T, e Engine) {
		impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errors.New("again") }}
		d, do := Define(t, e, retrypolicy.Policy{NumRetries: 5})
		one, bad := 1, -1
		_, err := runWorkflow(t, e, d, impl, func(ctx workflow.Context) (string, error) {
			return do.With(activity.CallOptions{NumRetries: &one, Summary: "two attempts"}).ExecuteLocal(ctx, "").Get(ctx)
		})
		require.ErrorContains(t, err, "again")
		assert.EqualValues(t, 2, impl.Started.Load())
		_, err = runWorkflow(t, e, d, impl, func(ctx workflow.Context) (string, error) {
			return do.With(activity.CallOptions{NumRetries: &bad}).ExecuteLocal(ctx, "").Get(ctx)
		})
		require.ErrorContains(t, err, "Scripted.Do: Retry.NumRetries -1")
		assert.EqualValues(t, 2, impl.Started.Load())
	})
}

func TestLocalWaitsTakeNoTimeInTheEnvironment(t *testing.T) {
	t.Parallel()
	impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errors.New("again") }}
	d := activity.Define[*Scripted]("Scripted", activity.Options{
		Retry: retrypolicy.Policy{NumRetries: 3, Wait: time.Hour, Jitter: retrypolicy.NoJitter}, CallTimeout: 24 * time.Hour,
	})
	do := activity.Method(d, "Do", (*Scripted).Do)
	_, err := runLocal(t, Environment, d, do, impl, "")
	require.ErrorContains(t, err, "again")
	assert.EqualValues(t, 4, impl.Started.Load())
}

func TestLocalPanicIsRetriedAndArrives(t *testing.T) {
	t.Parallel()
	eachLocal(t, func(t *testing.T, e Engine) {
		impl := &Scripted{Body: func(context.Context, int, string) (string, error) { panic("out of cheese") }}
		d, do := Define(t, e, retrypolicy.Policy{NumRetries: 2})
		_, err := runLocal(t, e, d, do, impl, "")
		require.ErrorContains(t, err, "out of cheese")
		assert.EqualValues(t, 3, impl.Started.Load())
	})
}

func TestLocalCancellationEndsABodyAndAWaitAndIsNeverRetried(t *testing.T) {
	t.Parallel()
	for _, waits := range []bool{false, true} {
		t.Run(fmt.Sprintf("in a wait %v", waits), func(t *testing.T) {
			t.Parallel()
			started := make(chan struct{}, 10)
			over := make(chan struct{}, 10)
			impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
				started <- struct{}{}
				if waits {
					return "", errors.New("again")
				}
				<-ctx.Done()
				over <- struct{}{}
				return "", errors.New("not the context's error")
			}}
			d := activity.Define[*Scripted]("Scripted", activity.Options{
				Retry:       retrypolicy.Policy{NumRetries: 5, Wait: time.Hour, Jitter: retrypolicy.NoJitter},
				CallTimeout: 8 * time.Hour,
			})
			if !waits {
				d = activity.Define[*Scripted]("Scripted", activity.Options{
					Retry: retrypolicy.Policy{NumRetries: 5, Wait: retrypolicy.NoWait}, CallTimeout: time.Hour,
				})
			}
			do := activity.Method(d, "Do", (*Scripted).Do)
			flow := func(ctx workflow.Context) error {
				ctx, cancel := workflow.WithCancel(ctx)
				future := do.ExecuteLocal(ctx, "")
				workflow.GetSignalChannel(ctx, "cancel").Receive(ctx, nil)
				cancel()
				_, err := future.Get(ctx)
				return err
			}
			queue, c := Queue(t), Client(t)
			Start(t, c, queue, func(w *worker.Worker) {
				worker.Register(w, d, impl)
				w.RegisterWorkflow(flow)
			})
			// A signal arrives with the next workflow task, which a local
			// activity puts off until it has used up most of this one's time.
			run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue, WorkflowTaskTimeout: time.Second}, flow)
			require.NoError(t, err)
			Next(t, started)
			require.NoError(t, c.SignalWorkflow(t.Context(), run.GetID(), "", "cancel", nil))
			err = run.Get(t.Context(), nil)
			require.True(t, temporal.IsCanceledError(err), "%v", err)
			if !waits {
				<-over
			}
			assert.EqualValues(t, 1, impl.Started.Load())
		})
	}
}

func TestLocalCallIsCancelledInTheEnvironment(t *testing.T) {
	t.Parallel()
	impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}}
	d, do := Define(t, Environment, retrypolicy.Policy{NumRetries: 5})
	_, err := runWorkflow(t, Environment, d, impl, func(ctx workflow.Context) (string, error) {
		inner, cancel := workflow.WithCancel(ctx)
		future := do.ExecuteLocal(inner, "")
		// The environment's clock stands still while a local activity runs.
		workflow.Go(ctx, func(workflow.Context) { cancel() })
		return future.Get(ctx)
	})
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	assert.LessOrEqual(t, impl.Started.Load(), int64(1), "it may be cancelled before it starts")
}

func TestLocalAttemptTimeoutIsRetried(t *testing.T) {
	t.Parallel()
	eachLocal(t, func(t *testing.T, e Engine) {
		impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
			if n < 3 {
				<-ctx.Done()
				return "", ctx.Err()
			}
			return "in time", nil
		}}
		d := activity.Define[*Scripted]("Scripted", activity.Options{
			Retry: retrypolicy.Policy{NumRetries: 3, Wait: time.Millisecond}, AttemptTimeout: 50 * time.Millisecond,
		})
		do := activity.Method(d, "Do", (*Scripted).Do)
		out, err := runLocal(t, e, d, do, impl, "")
		require.NoError(t, err)
		assert.Equal(t, "in time", out)
	})
}

// Ten attempts of a second take longer than the two that a server attempt of
// Execute has room for.
func TestLocalCallHasRoomForAllItsAttempts(t *testing.T) {
	t.Parallel()
	var deadline atomic.Int64
	impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
		info := activity.GetInfo(ctx)
		deadline.Store(int64(info.Deadline.Sub(info.StartedTime).Round(time.Second)))
		return "", nil
	}}
	d := activity.Define[*Scripted]("Scripted", activity.Options{
		Retry: retrypolicy.Policy{NumRetries: 9, Wait: time.Second, Backoff: retrypolicy.Linear, Jitter: retrypolicy.NoJitter}, AttemptTimeout: time.Second,
	})
	do := activity.Method(d, "Do", (*Scripted).Do)
	_, err := runLocal(t, InPlace, d, do, impl, "")
	require.NoError(t, err)
	assert.Equal(t, 10*(1+1+10)*time.Second, time.Duration(deadline.Load()))
}

func TestEngineRaisesTheFinalErrorOfALocalCallNearItsTimeout(t *testing.T) {
	t.Parallel()
	impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errors.New("the last word") }}
	d := activity.Define[*Scripted]("Scripted", activity.Options{
		Retry:       retrypolicy.Policy{NumRetries: 1000, Wait: 50 * time.Millisecond, Backoff: retrypolicy.Constant, Jitter: retrypolicy.NoJitter},
		CallTimeout: 3 * time.Second,
	})
	do := activity.Method(d, "Do", (*Scripted).Do)
	_, err := runLocal(t, InPlace, d, do, impl, "")
	require.ErrorContains(t, err, "the last word")
	var timeout *temporal.TimeoutError
	require.NotErrorAs(t, err, &timeout)
	assert.Greater(t, impl.Started.Load(), int64(5))
}

// What a local activity returns is the call's end, so a worker that is shut
// down waits on, as it does for bodies.
func TestShutdownDoesNotEndALocalCallWithAFailureInBetween(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	failed := make(chan struct{}, 10)
	impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) {
		if n == 1 {
			failed <- struct{}{}
			return "", retrypolicy.After(errors.New("later"), time.Second)
		}
		return "in the end", nil
	}}
	d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
	flow := func(ctx workflow.Context) (string, error) { return do.ExecuteLocal(ctx, "").Get(ctx) }
	register := func(w *worker.Worker) {
		worker.Register(w, d, impl)
		w.RegisterWorkflow(flow)
	}
	first := worker.New(c, queue, worker.Options{WorkerStopTimeout: 100 * time.Millisecond})
	register(first)
	require.NoError(t, first.Start())
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue, WorkflowTaskTimeout: 2 * time.Second}, flow)
	require.NoError(t, err)
	<-failed
	first.Stop()
	Start(t, c, queue, register)
	var out string
	require.NoError(t, run.Get(t.Context(), &out))
	assert.Equal(t, "in the end", out)
	assert.LessOrEqual(t, impl.Started.Load(), int64(3))
}

func TestLocalCallMayHaveRetriesThatItsDefinitionHasNot(t *testing.T) {
	t.Parallel()
	eachLocal(t, func(t *testing.T, e Engine) {
		impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errors.New("again") }}
		d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{Wait: time.Millisecond}})
		_, err := runWorkflow(t, e, d, impl, func(ctx workflow.Context) (string, error) {
			return do.With(activity.CallOptions{NumRetries: new(2)}).ExecuteLocal(ctx, "").Get(ctx)
		})
		require.ErrorContains(t, err, "again")
		assert.EqualValues(t, 3, impl.Started.Load())
	})
}
