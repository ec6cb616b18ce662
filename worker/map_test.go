package worker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
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

// mapped is one way to map over many inputs.
type mapped func(t *testing.T, d *activity.Definition[*scripted], do *scriptedHandle, impl *scripted, ins []string, options ...activity.MapOption) ([]string, error)

// mappings are the three of them, and the workflow's in Temporal's test environment.
func mappings() map[string]mapped {
	inWorkflow := func(do *scriptedHandle, outs *[]string, failed *error, options []activity.MapOption) func(workflow.Context, []string) error {
		return func(ctx workflow.Context, ins []string) error {
			*outs, *failed = do.Map(ctx, ins, options...)
			return nil
		}
	}
	return map[string]mapped{
		"in this process": func(t *testing.T, _ *activity.Definition[*scripted], do *scriptedHandle, impl *scripted, ins []string, options ...activity.MapOption) ([]string, error) {
			t.Helper()
			return do.Inline(impl).Map(t.Context(), ins, options...)
		},
		"environment": func(t *testing.T, d *activity.Definition[*scripted], do *scriptedHandle, impl *scripted, ins []string, options ...activity.MapOption) (outs []string, err error) {
			t.Helper()
			env := testsuite.NewWorkflowEnvironment(t)
			env.SetTestTimeout(Timeout)
			testsuite.Register(t, env, d, impl)
			env.ExecuteWorkflow(inWorkflow(do, &outs, &err, options), ins)
			require.NoError(t, env.GetWorkflowError())
			return outs, err
		},
		"workflow": func(t *testing.T, d *activity.Definition[*scripted], do *scriptedHandle, impl *scripted, ins []string, options ...activity.MapOption) (outs []string, err error) {
			t.Helper()
			queue, c := Queue(t), Client(t)
			w := inWorkflow(do, &outs, &err, options)
			Start(t, c, queue, func(worked *worker.Worker) {
				worker.Register(worked, d, impl)
				worked.RegisterWorkflowWithOptions(w, workflow.RegisterOptions{Name: "Map"})
			})
			run, startErr := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Map", ins)
			require.NoError(t, startErr)
			require.NoError(t, run.Get(t.Context(), nil))
			return outs, err
		},
		"submitted": func(t *testing.T, d *activity.Definition[*scripted], do *scriptedHandle, impl *scripted, ins []string, options ...activity.MapOption) ([]string, error) {
			t.Helper()
			queue, c := Queue(t), Client(t)
			Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
			return do.With(activity.CallOptions{TaskQueue: queue, ID: queue}).SubmitMap(t.Context(), c, ins, options...)
		},
	}
}

func inputs(n int) []string {
	ins := make([]string, n)
	for i := range ins {
		ins[i] = fmt.Sprint("input ", i)
	}
	return ins
}

func TestMapRetriesEachInputAndKeepsTheirOrder(t *testing.T) {
	t.Parallel()
	for name, run := range mappings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			tried := map[string]int{}
			impl := &scripted{body: func(_ context.Context, _ int, in string) (string, error) {
				mu.Lock()
				defer mu.Unlock()
				if tried[in]++; tried[in] < 3 {
					return "", errors.New("not yet")
				}
				return in + "!", nil
			}}
			d, do := define(t, InPlace, retrypolicy.Policy{NumRetries: 3})
			ins := inputs(20)
			outs, err := run(t, d, do, impl, ins)
			require.NoError(t, err)
			for i, in := range ins {
				assert.Equal(t, in+"!", outs[i])
			}
			assert.EqualValues(t, 60, impl.started.Load())
		})
	}
}

func TestMapReturnsWhatSucceededBesideWhatFailed(t *testing.T) {
	t.Parallel()
	for name, run := range mappings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			impl := &scripted{body: func(_ context.Context, _ int, in string) (string, error) {
				if in == "input 1" {
					return "", errors.New("no disk")
				}
				return in, nil
			}}
			d, do := define(t, InPlace, retrypolicy.Policy{NumRetries: 1}, func(s string, _ retrypolicy.Attempt) error {
				if s == "input 2" {
					return errors.New("no good")
				}
				return nil
			})
			outs, err := run(t, d, do, impl, inputs(4))
			assert.Equal(t, []string{"input 0", "", "", "input 3"}, outs)
			var failed *activity.MapError
			require.ErrorAs(t, err, &failed)
			require.ErrorContains(t, err, "2 of 4 calls failed; input 1: ")
			require.NoError(t, failed.Errors[0])
			require.ErrorContains(t, failed.Errors[1], "no disk")
			var rve *validation.RetryValidationError
			require.True(t, validation.As(err, &rve), "of the second call that failed")
			assert.Equal(t, 2, rve.Attempts)
		})
	}
}

// meeting lets nobody go on before a number of them have come, again and again.
type meeting struct {
	of int

	mu  sync.Mutex
	n   int
	all chan struct{}
}

func (m *meeting) wait() {
	m.mu.Lock()
	all := m.all
	if m.n++; m.n%m.of == 0 {
		close(all)
		m.all = make(chan struct{})
	}
	m.mu.Unlock()
	<-all
}

func TestMapHasAtMostConcurrencyCallsUnderWay(t *testing.T) {
	t.Parallel()
	for name, run := range mappings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var under, most atomic.Int64
			three := &meeting{of: 3, all: make(chan struct{})}
			impl := &scripted{body: func(_ context.Context, _ int, in string) (string, error) {
				now := under.Add(1)
				defer under.Add(-1)
				for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
				}
				three.wait()
				return in, nil
			}}
			d, do := define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
			_, err := run(t, d, do, impl, inputs(12), activity.Concurrency(3))
			require.NoError(t, err)
			assert.EqualValues(t, 12, impl.started.Load())
			assert.EqualValues(t, 3, most.Load())
			_, err = run(t, d, do, impl, inputs(1), activity.Concurrency(0))
			require.EqualError(t, err, "Scripted.Do: Concurrency 0: must be at least 1")
			assert.EqualValues(t, 12, impl.started.Load())
		})
	}
}

func TestMapOverNothingIsNothing(t *testing.T) {
	t.Parallel()
	for name, run := range mappings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, do := define(t, InPlace, retrypolicy.Policy{})
			outs, err := run(t, d, do, &scripted{}, nil)
			require.NoError(t, err)
			assert.Empty(t, outs)
		})
	}
}

func TestMapThatStopsOnErrorCancelsTheOthers(t *testing.T) {
	t.Parallel()
	for name, run := range mappings() {
		if name == "environment" {
			continue // its activities are not told of a cancellation while they run
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			second := make(chan struct{})
			var canceled atomic.Bool
			impl := &scripted{body: func(ctx context.Context, _ int, in string) (string, error) {
				if in == "input 0" {
					<-second
					return "", retrypolicy.Permanent(errors.New("no disk"))
				}
				close(second) // panics for a third call
				<-ctx.Done()
				canceled.Store(true)
				return "", ctx.Err()
			}}
			d := activity.Define[*scripted]("Scripted", activity.Options{
				Retry: retrypolicy.Policy{NumRetries: 3}, CallTimeout: time.Minute, HeartbeatTimeout: time.Second,
			})
			do := activity.Method(d, "Do", (*scripted).Do)
			_, err := run(t, d, do, impl, inputs(5), activity.Concurrency(2), activity.StopOnError())
			var failed *activity.MapError
			require.ErrorAs(t, err, &failed)
			require.ErrorContains(t, failed.Errors[0], "no disk")
			require.Error(t, failed.Errors[1])
			for _, err := range failed.Errors[2:] {
				require.EqualError(t, err, "not called, since another call of the map has failed")
			}
			require.Eventually(t, canceled.Load, 20*time.Second, 10*time.Millisecond)
			assert.EqualValues(t, 2, impl.started.Load())
		})
	}
}

func TestMapOfACanceledWorkflowEnds(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	running := make(chan struct{}, 10)
	impl := &scripted{body: func(ctx context.Context, _ int, _ string) (string, error) {
		running <- struct{}{}
		<-ctx.Done()
		return "", ctx.Err()
	}}
	d, do := define(t, InPlace, retrypolicy.Policy{NumRetries: 3})
	mapping := func(ctx workflow.Context) error {
		_, err := do.Map(ctx, inputs(5), activity.Concurrency(2))
		var failed *activity.MapError
		if errors.As(err, &failed) {
			for i, err := range failed.Errors {
				if !temporal.IsCanceledError(err) {
					return fmt.Errorf("input %d: %w", i, err)
				}
			}
		}
		return ctx.Err()
	}
	Start(t, c, queue, func(w *worker.Worker) {
		worker.Register(w, d, impl)
		w.RegisterWorkflow(mapping)
	})
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, mapping)
	require.NoError(t, err)
	<-running
	<-running
	require.NoError(t, c.CancelWorkflow(t.Context(), run.GetID(), ""))
	err = run.Get(t.Context(), nil)
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	assert.EqualValues(t, 2, impl.started.Load())
}

// What was submitted goes on when its submitter leaves.
func TestSubmitMapOfAProgramThatLeavesGoesOn(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	running, release := make(chan struct{}), make(chan struct{})
	impl := &scripted{body: func(_ context.Context, _ int, in string) (string, error) {
		running <- struct{}{}
		<-release
		return in, nil
	}}
	d, do := define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-running
		leave()
	}()
	_, err := do.With(activity.CallOptions{TaskQueue: queue, ID: queue}).SubmitMap(ctx, c, inputs(1))
	require.ErrorContains(t, err, "it goes on")
	close(release)
	call, err := do.Attach(t.Context(), c, queue+"-0")
	require.NoError(t, err)
	out, err := call.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "input 0", out)
}
