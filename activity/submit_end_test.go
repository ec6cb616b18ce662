package activity_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/worker"
)

func TestCancelEndsASubmittedCall(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		running := make(chan struct{}, 1)
		impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
			running <- struct{}{}
			<-ctx.Done()
			return "", ctx.Err()
		}}
		queue, c := Queue(t), w.client(t)
		d := activity.Define[*Scripted]("Scripted", activity.Options{
			Retry: retrypolicy.Policy{NumRetries: 5}, CallTimeout: time.Minute, HeartbeatTimeout: time.Second, TaskQueue: queue,
		})
		do := activity.Method(d, "Do", (*Scripted).Do)
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
		assert.EqualValues(t, 1, impl.Started.Load(), "a canceled call is not retried")
		require.NoError(t, call.Cancel(t.Context(), "after the end neither"))
		got, err = call.Describe(t.Context())
		require.NoError(t, err)
		assert.Equal(t, activity.CallCanceled, got.State)
	})
}

func TestCancelBeforeAnyWorker(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		impl := &Scripted{}
		queue, c := Queue(t), w.client(t)
		d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 5})
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
		assert.Zero(t, impl.Started.Load())
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
				impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
					<-ctx.Done()
					return "", ctx.Err()
				}}
				queue, tc := Queue(t), w.client(t)
				d, do := Define(t, InPlace, c.policy)
				Start(t, tc, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
				started := time.Now()
				call, err := do.With(activity.CallOptions{TaskQueue: queue, CallTimeout: 4 * time.Second}).Submit(t.Context(), tc, "")
				require.NoError(t, err)
				_, err = call.Get(t.Context())
				assert.Equal(t, fmt.Sprintf("%T", c.err), fmt.Sprintf("%T", err), "%v", err)
				assert.Less(t, time.Since(started), 20*time.Second)
				assert.EqualValues(t, 1, impl.Started.Load())
				got, err := call.Describe(t.Context())
				require.NoError(t, err)
				assert.Equal(t, c.state, got.State)
				assert.Equal(t, 1, got.ServerAttempts)
			})
		}
	})
}

func TestSubmitToNobodySaysWhereItHasWaited(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		c := w.client(t)
		_, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 5})
		queue := Queue(t)
		call, err := do.With(activity.CallOptions{TaskQueue: queue, CallTimeout: time.Second}).Submit(t.Context(), c, "")
		require.NoError(t, err)
		_, err = call.Get(t.Context())
		var timeout *temporal.TimeoutError
		require.ErrorAs(t, err, &timeout)
		require.EqualError(t, err, fmt.Sprintf("Scripted.Do: Get: call ID %q: no worker of task queue %q has taken it up: %v", call.ID(), queue, timeout))
		assert.Equal(t, enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, timeout.TimeoutType())
		got, err := call.Describe(t.Context())
		require.NoError(t, err)
		assert.Equal(t, activity.CallTimedOut, got.State)
		assert.Zero(t, got.ServerAttempts)
		assert.Equal(t, timeout.Error(), got.LastFailure)
	})
}
