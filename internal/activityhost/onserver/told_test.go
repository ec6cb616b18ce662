package onserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/internal/activityhost"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

func explode() { panic("out of cheese") }

func TestPanicKeepsItsStack(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]retrypolicy.Policy{"without a policy": {}, "in place": {NumRetries: 1, Wait: time.Millisecond}, "on the server": OnServer.Policy(retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond})} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logs records
			queue := Queue(t)
			c := testsuite.Dial(t, testsuite.Server(t), client.Options{Logger: log.NewStructuredLogger(logs.logger())})
			impl := &Scripted{Body: func(context.Context, int, string) (string, error) { explode(); return "", nil }}
			d, do := ScriptedWith(activity.Options{Retry: policy, TaskQueue: queue})
			Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
			_, err := Submit(t, c, do, queue, "").Get(t.Context())
			var panicked *temporal.PanicError
			require.ErrorAs(t, err, &panicked)
			assert.Contains(t, panicked.Error(), "out of cheese")
			assert.Contains(t, panicked.StackTrace(), "onserver_test.explode", "the caller's")
			logged := logs.with(t, "Activity panic.")
			require.Len(t, logged, policy.NumRetries+1)
			assert.Contains(t, logged[0]["PanicStack"], "onserver_test.explode", "the worker's")
		})
	}
}

func TestLastErrorBeforeTheCallsEndIsKept(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		if e == Environment {
			return // it cuts calls itself
		}
		impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
			if n == 1 {
				return "", errors.New("disk full")
			}
			<-ctx.Done()
			return "", ctx.Err()
		}}
		d := activity.Define[*Scripted]("Scripted", activity.Options{
			Retry: e.Policy(retrypolicy.Policy{NumRetries: 5, Wait: time.Millisecond}), CallTimeout: 3 * time.Second,
		})
		do := activity.Method(d, "Do", (*Scripted).Do)
		_, err := Run(t, e, d, do, impl, "")
		require.Error(t, err)
		assert.Contains(t, err.Error(), "disk full", "what the attempt before said")
		assert.Contains(t, err.Error(), "CallTimeout 3s")
		stop, _ := retrypolicy.StopOf(err)
		assert.Equal(t, retrypolicy.StopCallTimeout, stop.Stop, "%v", err)
	})
}

func TestEndByTimeNamesTheOptionAndItsValue(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		if e == Environment {
			return // its clock stands still while a body runs
		}
		impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}}
		d := activity.Define[*Scripted]("Scripted", activity.Options{
			Retry: e.Policy(retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond}), AttemptTimeout: 50 * time.Millisecond,
		})
		do := activity.Method(d, "Do", (*Scripted).Do)
		_, err := Run(t, e, d, do, impl, "")
		require.ErrorContains(t, err, "AttemptTimeout 50ms")
		if e == Sync {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		stop, _ := retrypolicy.StopOf(err)
		assert.Equal(t, retrypolicy.StopSpent, stop.Stop, "%v", err)
	})
}

// Somebody who knows no ticket completes an activity in Policies.
func TestCompletionByOthersKeepsTheirError(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	tokens := make(chan []byte, 10)
	w := worker.New(c, queue, worker.Options{}, worker.Policies{"Charge": {Retry: retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond}}})
	w.RegisterActivityWithOptions(func(ctx context.Context) (string, error) {
		tokens <- sdkactivity.GetInfo(ctx).TaskToken
		return "", sdkactivity.ErrResultPending
	}, sdkactivity.RegisterOptions{Name: "Charge"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	handle, err := c.ExecuteActivity(t.Context(), client.StartActivityOptions{
		ID: queue, TaskQueue: queue, StartToCloseTimeout: Timeout, RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Millisecond},
	}, "Charge")
	require.NoError(t, err)
	declined := temporal.NewApplicationError("declined by the bank", "Declined", "code 51")
	for range 2 {
		require.NoError(t, c.CompleteActivity(t.Context(), Next(t, tokens), nil, declined))
	}
	err = handle.Get(t.Context(), nil)
	require.ErrorContains(t, err, "declined by the bank")
	assert.NotContains(t, err.Error(), "killed or cut off")
	assert.Empty(t, tokens, "and no third body")
	stop, _ := retrypolicy.StopOf(err)
	assert.Equal(t, retrypolicy.StopSpent, stop.Stop)
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	assert.Equal(t, "Declined", app.Type())
}

// What history, the web UI and every other tool show.
func TestSpentRetriesAreInTheFailure(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	impl := &Scripted{Body: func(context.Context, int, string) (string, error) {
		return "", temporal.NewApplicationErrorWithOptions("503", "Unavailable", temporal.ApplicationErrorOptions{Details: []any{"eu-1"}, Cause: errors.New("dial tcp")})
	}}
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 3, Wait: time.Millisecond}, TaskQueue: queue})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	call := Submit(t, c, do, queue, "")
	_, err := call.Get(t.Context())
	described, describeErr := call.ActivityHandle().Describe(t.Context(), client.DescribeActivityOptions{IncludeOutcome: true})
	require.NoError(t, describeErr)
	failure := described.RawResponse.GetOutcome().GetFailure()
	assert.Equal(t, "503; gave up after 4 attempts: retries spent", failure.GetMessage())
	assert.Equal(t, "Unavailable", failure.GetApplicationFailureInfo().GetType())

	stopped, _ := retrypolicy.StopOf(err)
	require.NotNil(t, stopped)
	assert.Equal(t, 4, stopped.Attempts)
	assert.Equal(t, retrypolicy.StopSpent, stopped.Stop)
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	var region string
	require.NoError(t, app.Details(&region))
	assert.Equal(t, "eu-1", region)
	require.ErrorContains(t, err, "dial tcp")

	// The reasons and waits of all of them.
	details := failure.GetCause().GetApplicationFailureInfo().GetDetails().GetPayloads()
	require.Len(t, details, 4)
	var trail wire.CallTrail
	require.NoError(t, wire.Open(wire.Trail, details[3], &trail))
	assert.Equal(t, 4, trail.Attempts)
	require.Len(t, trail.Outcomes, 4)
	assert.Equal(t, "Unavailable", trail.Outcomes[0].ErrorType)
	assert.Positive(t, trail.Outcomes[0].Wait)
}

// A result after retries tells of them; one at once is as it ever was.
func TestResultAfterRetriesTellsOfThem(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	impl := &Scripted{Body: func(_ context.Context, n int, in string) (string, error) {
		switch {
		case in == "at once", n == 3:
			return "good", nil
		case n == 1:
			return "", errors.New(strings.Repeat("too long a reason ", 100))
		}
		return "bad", nil
	}}
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 3, Wait: time.Millisecond}, TaskQueue: queue}, func(s string, _ retrypolicy.Attempt) error {
		if s == "bad" {
			return errors.New("bad indeed")
		}
		return nil
	})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	metadata := func(in string) map[string][]byte {
		call := Submit(t, c, do, queue, in)
		out, err := call.Get(t.Context())
		require.NoError(t, err)
		require.Equal(t, "good", out)
		described, err := call.ActivityHandle().Describe(t.Context(), client.DescribeActivityOptions{IncludeOutcome: true})
		require.NoError(t, err)
		payloads := described.RawResponse.GetOutcome().GetResult().GetPayloads()
		require.Len(t, payloads, 1)
		return payloads[0].GetMetadata()
	}
	told := metadata("after retries")
	require.Contains(t, told, activityhost.TrailKey)
	var trail wire.CallTrail
	require.NoError(t, json.Unmarshal(told[activityhost.TrailKey], &trail))
	assert.Equal(t, 3, trail.Attempts)
	require.Len(t, trail.Outcomes, 2)
	assert.Equal(t, retrypolicy.VerdictFailed, trail.Outcomes[0].Verdict)
	assert.LessOrEqual(t, len(trail.Outcomes[0].Reason), 200)
	assert.Equal(t, wire.Step{Attempt: 2, Verdict: retrypolicy.VerdictRefused, Reason: "bad indeed", Wait: trail.Outcomes[1].Wait}, trail.Outcomes[1])

	assert.Len(t, metadata("at once"), 1, "an encoding, and nothing else")
}

// Temporal's SDK drops what has payloads once its worker has stopped; the answer
// of a body that used its WorkerStopTimeout to the end must not be lost.
func TestAnswersArriveThoughTheirWorkerStops(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]func() (string, error){
		"a result": func() (string, error) { return "saved", nil },
		"an error with details": func() (string, error) {
			return "", temporal.NewNonRetryableApplicationError("declined", "Declined", nil, "code 51")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queue, c := Queue(t), Client(t)
			running := make(chan struct{})
			impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
				close(running)
				<-ctx.Done()
				return body()
			}}
			d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 1}, TaskQueue: queue})
			w := worker.New(c, queue, worker.Options{WorkerStopTimeout: 300 * time.Millisecond})
			worker.Register(w, d, impl)
			require.NoError(t, w.Start())
			call := Submit(t, c, do, queue, "")
			<-running
			w.Stop()
			out, err := call.Get(t.Context())
			want, wantErr := body()
			assert.Equal(t, want, out)
			if wantErr != nil {
				var app *temporal.ApplicationError
				require.ErrorAs(t, err, &app)
				assert.Equal(t, "Declined", app.Type())
				var code string
				require.NoError(t, app.Details(&code))
				assert.Equal(t, "code 51", code)
			} else {
				require.NoError(t, err)
			}
			assert.EqualValues(t, 1, impl.Started.Load())
		})
	}
}
