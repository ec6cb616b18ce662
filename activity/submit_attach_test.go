package activity_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/worker"
)

func TestACallOutlivesItsCallerAndIsFoundByID(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		running, goOn := make(chan struct{}, 1), make(chan struct{})
		impl := &Scripted{Body: func(_ context.Context, _ int, in string) (string, error) {
			running <- struct{}{}
			<-goOn
			return in + " done", nil
		}}
		queue := Queue(t)
		d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
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
		_, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
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
		_, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
		c := w.client(t)
		call, err := do.With(activity.CallOptions{TaskQueue: Queue(t)}).Submit(t.Context(), c, "")
		require.NoError(t, err)
		if call.Standalone() {
			err = call.ActivityHandle().Terminate(t.Context(), client.TerminateActivityOptions{Reason: "an operator"})
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
		d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
		other := activity.Method(d, "Again", (*Scripted).Again)
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

func TestDescribeBetweenServerAttempts(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) { return "", fmt.Errorf("failure %d", n) }}
		queue, c := Queue(t), w.client(t)
		d, do := Define(t, OnServer, retrypolicy.Policy{NumRetries: 3, Wait: 10 * time.Second, Jitter: retrypolicy.NoJitter})
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
