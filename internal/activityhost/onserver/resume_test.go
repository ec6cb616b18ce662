package onserver_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/worker"
)

var errBusy = errors.New("busy")

// untilHandedOver runs a call on a worker of its own until bodies were started
// and the last of them has left the wait to the server.
func untilHandedOver(t *testing.T, d *activity.Definition[*Scripted], do *ScriptedHandle, impl *Scripted, bodies int64) (queue string, call *activity.Call[string]) {
	t.Helper()
	queue, c := Queue(t), Client(t)
	first := worker.New(c, queue, worker.Options{WorkerStopTimeout: time.Second})
	worker.Register(first, d, impl)
	require.NoError(t, first.Start())
	call = Submit(t, c, do, queue, "")
	require.Eventually(t, func() bool {
		state, err := call.Describe(t.Context())
		return err == nil && impl.Started.Load() == bodies && state.State == activity.CallWaiting
	}, Timeout, 10*time.Millisecond)
	first.Stop()
	return queue, call
}

func TestDeployThatMovesACaseAddsNoAttempt(t *testing.T) {
	t.Parallel()
	busy := retrypolicy.Case{On: retrypolicy.ErrorIs(errBusy), NumRetries: 3, Wait: time.Millisecond}
	before, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{InPlace: -1, Cases: []retrypolicy.Case{busy}}})
	after, _ := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{InPlace: -1, Cases: []retrypolicy.Case{{On: retrypolicy.ErrorIs(context.DeadlineExceeded)}, busy}}})
	impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) {
		if n == 3 {
			return "", retrypolicy.After(errBusy, 2*time.Second) // the deploy is in this wait
		}
		return "", errBusy
	}}
	queue, call := untilHandedOver(t, before, do, impl, 3)
	Start(t, Client(t), queue, func(w *worker.Worker) { worker.Register(w, after, impl) })
	_, err := call.Get(t.Context())
	require.ErrorContains(t, err, "busy")
	assert.EqualValues(t, 4, impl.Started.Load(), "both policies allow 4")
}

func TestNoRetryStartsAfterMaxElapsed(t *testing.T) {
	t.Parallel()
	impl := &Scripted{Body: func(context.Context, int, string) (string, error) {
		return "", temporal.NewApplicationError("away", "Away")
	}}
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{
		NumRetries: 5, Wait: time.Second, Jitter: retrypolicy.NoJitter, InPlace: -1, MaxElapsed: 2 * time.Second,
	}})
	queue, call := untilHandedOver(t, d, do, impl, 1)
	time.Sleep(2 * time.Second) // nobody polls
	var seen Events
	Start(t, Client(t), queue, func(w *worker.Worker) { worker.Register(w, d, impl) }, worker.Observe(seen.Observe))
	_, err := call.Get(t.Context())
	stop, _ := retrypolicy.StopOf(err)
	assert.Equal(t, retrypolicy.StopMaxElapsed, stop.Stop, "%v", err)
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	assert.Equal(t, "Away", app.Type(), "the last error's, as far as the journal knows it")
	assert.EqualValues(t, 1, impl.Started.Load())
}

func TestRetryOfALostAttemptIsPaidByTheBudget(t *testing.T) {
	t.Parallel()
	for _, floor := range []int{retrypolicy.NoFloor, 1} {
		budget := &retrypolicy.Budget{Floor: floor, Share: 0.01}
		d, do := ScriptedWith(activity.Options{
			Retry: retrypolicy.Policy{NumRetries: 5, Wait: time.Millisecond, Budget: budget}, HeartbeatTimeout: time.Second,
		})
		queue, c := Queue(t), Client(t)
		running := make(chan struct{})
		var bodies atomic.Int64
		first := worker.New(c, queue, worker.Options{WorkerStopTimeout: 50 * time.Millisecond})
		worker.Register(first, d, &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
			bodies.Add(1)
			close(running)
			<-ctx.Done()
			return "", ctx.Err()
		}})
		require.NoError(t, first.Start())
		call := Submit(t, c, do, queue, "")
		<-running
		first.Stop()
		Start(t, c, queue, func(w *worker.Worker) {
			worker.Register(w, d, &Scripted{Body: func(context.Context, int, string) (string, error) { bodies.Add(1); return "ok", nil }})
		})
		_, err := call.Get(t.Context())
		_, retries := budget.Recent(time.Now())
		if floor == 1 {
			require.NoError(t, err)
			assert.Equal(t, 1, retries)
			assert.EqualValues(t, 2, bodies.Load())
			continue
		}
		stop, _ := retrypolicy.StopOf(err)
		assert.Equal(t, retrypolicy.StopBudget, stop.Stop, "%v", err)
		assert.True(t, retrypolicy.IsLost(err), "%v", err)
		assert.Zero(t, retries)
		assert.EqualValues(t, 1, bodies.Load())
	}
}
