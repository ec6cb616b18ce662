package activity_test

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
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

func TestMapRetriesEachInputAndKeepsTheirOrder(t *testing.T) {
	t.Parallel()
	for name, run := range Mappings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			tried := map[string]int{}
			impl := &Scripted{Body: func(_ context.Context, _ int, in string) (string, error) {
				mu.Lock()
				defer mu.Unlock()
				if tried[in]++; tried[in] < 3 {
					return "", errors.New("not yet")
				}
				return in + "!", nil
			}}
			d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 3})
			ins := Inputs(20)
			outs, err := run(t, d, do, impl, ins)
			require.NoError(t, err)
			for i, in := range ins {
				assert.Equal(t, in+"!", outs[i])
			}
			assert.EqualValues(t, 60, impl.Started.Load())
		})
	}
}

func TestMapReturnsWhatSucceededBesideWhatFailed(t *testing.T) {
	t.Parallel()
	for name, run := range Mappings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			impl := &Scripted{Body: func(_ context.Context, _ int, in string) (string, error) {
				if in == "input 1" {
					return "", errors.New("no disk")
				}
				return in, nil
			}}
			d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 1}, func(s string, _ retrypolicy.Attempt) error {
				if s == "input 2" {
					return errors.New("no good")
				}
				return nil
			})
			outs, err := run(t, d, do, impl, Inputs(4))
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
	for name, run := range Mappings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var under, most atomic.Int64
			three := &meeting{of: 3, all: make(chan struct{})}
			impl := &Scripted{Body: func(_ context.Context, _ int, in string) (string, error) {
				now := under.Add(1)
				defer under.Add(-1)
				for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
				}
				three.wait()
				return in, nil
			}}
			d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
			_, err := run(t, d, do, impl, Inputs(12), activity.Concurrency(3))
			require.NoError(t, err)
			assert.EqualValues(t, 12, impl.Started.Load())
			assert.EqualValues(t, 3, most.Load())
			_, err = run(t, d, do, impl, Inputs(1), activity.Concurrency(0))
			require.EqualError(t, err, "Scripted.Do: Concurrency 0: must be at least 1")
			assert.EqualValues(t, 12, impl.Started.Load())
		})
	}
}

func TestMapOverNothingIsNothing(t *testing.T) {
	t.Parallel()
	for name, run := range Mappings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, do := Define(t, InPlace, retrypolicy.Policy{})
			outs, err := run(t, d, do, &Scripted{}, nil)
			require.NoError(t, err)
			assert.Empty(t, outs)
		})
	}
}

func TestMapThatStopsOnErrorCancelsTheOthers(t *testing.T) {
	t.Parallel()
	for name, run := range Mappings() {
		if name == "environment" {
			continue // its activities are not told of a cancellation while they run
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			second := make(chan struct{})
			var canceled atomic.Bool
			impl := &Scripted{Body: func(ctx context.Context, _ int, in string) (string, error) {
				if in == "input 0" {
					<-second
					return "", retrypolicy.Permanent(errors.New("no disk"))
				}
				close(second) // panics for a third call
				<-ctx.Done()
				canceled.Store(true)
				return "", ctx.Err()
			}}
			d := activity.Define[*Scripted]("Scripted", activity.Options{
				Retry: retrypolicy.Policy{NumRetries: 3}, CallTimeout: time.Minute, HeartbeatTimeout: time.Second,
			})
			do := activity.Method(d, "Do", (*Scripted).Do)
			_, err := run(t, d, do, impl, Inputs(5), activity.Concurrency(2), activity.StopOnError())
			var failed *activity.MapError
			require.ErrorAs(t, err, &failed)
			require.ErrorContains(t, failed.Errors[0], "no disk")
			require.Error(t, failed.Errors[1])
			for _, err := range failed.Errors[2:] {
				require.EqualError(t, err, "not called, since another call of the map has failed")
			}
			require.Eventually(t, canceled.Load, 20*time.Second, 10*time.Millisecond)
			assert.EqualValues(t, 2, impl.Started.Load())
		})
	}
}

func TestMapOfACanceledWorkflowEnds(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	running := make(chan struct{}, 10)
	impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
		running <- struct{}{}
		<-ctx.Done()
		return "", ctx.Err()
	}}
	d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 3})
	mapping := func(ctx workflow.Context) error {
		_, err := do.Map(ctx, Inputs(5), activity.Concurrency(2))
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
	assert.EqualValues(t, 2, impl.Started.Load())
}

// What was submitted goes on when its submitter leaves.
func TestSubmitMapOfAProgramThatLeavesGoesOn(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	running, release := make(chan struct{}), make(chan struct{})
	impl := &Scripted{Body: func(_ context.Context, _ int, in string) (string, error) {
		running <- struct{}{}
		<-release
		return in, nil
	}}
	d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-running
		leave()
	}()
	_, err := do.With(activity.CallOptions{TaskQueue: queue, ID: queue}).SubmitMap(ctx, c, Inputs(1))
	require.ErrorContains(t, err, "it goes on")
	close(release)
	call, err := do.Attach(t.Context(), c, queue+"-0")
	require.NoError(t, err)
	out, err := call.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "input 0", out)
}
