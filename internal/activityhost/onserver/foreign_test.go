package onserver_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// Somebody who holds the task token heartbeats in every wait in place: the
// next record puts the journal back.
func TestForeignHeartbeatInAWaitInPlaceIsOverwritten(t *testing.T) {
	t.Parallel()
	const retries = 4
	queue, c := Queue(t), Client(t)
	tokens := make(chan []byte, retries+1)
	var previous []int
	impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
		previous = append(previous, len(activity.Previous(ctx)))
		tokens <- activity.GetInfo(ctx).TaskToken
		if n == retries {
			return "", retrypolicy.After(errors.New("to the server"), 100*time.Millisecond)
		}
		return "", fmt.Errorf("failure %d", n)
	}}
	d := activity.Define[*Scripted]("Scripted", activity.Options{
		Retry: retrypolicy.Policy{
			NumRetries: retries, Wait: 50 * time.Millisecond, Backoff: retrypolicy.Constant,
			Jitter: retrypolicy.NoJitter, InPlace: 60 * time.Millisecond,
		},
		CallTimeout: time.Minute,
	})
	do := activity.Method(d, "Do", (*Scripted).Do)
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	call := Submit(t, c, do, queue, "")
	for range retries - 1 {
		require.NoError(t, c.RecordActivityHeartbeat(t.Context(), <-tokens, "foreign"))
	}
	_, err := call.Get(t.Context())
	require.ErrorContains(t, err, "failure 5")
	assert.EqualValues(t, retries+1, impl.Started.Load())
	assert.Equal(t, []int{0, 1, 2, 3, 4}, previous, "the server attempt after them has the whole journal")
}

// eraser is an interceptor around the engine that tries to replace the journal of
// every server attempt at its very end, when no record can put it back.
type eraser struct {
	interceptor.WorkerInterceptorBase
	client client.Client
}

func (e *eraser) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &erasing{interceptor.ActivityInboundInterceptorBase{Next: next}, e.client}
}

type erasing struct {
	interceptor.ActivityInboundInterceptorBase
	client client.Client
}

func (e *erasing) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	out, err := e.Next.ExecuteActivity(ctx, in)
	_ = e.client.RecordActivityHeartbeat(ctx, sdkactivity.GetInfo(ctx).TaskToken, "foreign, at the end")
	return out, err
}

// The journal goes with the failure itself, after which the server takes nothing
// of that server attempt any more.
func TestForeignHeartbeatsEraseNoJournal(t *testing.T) {
	t.Parallel()
	for _, retries := range []int{0, 1, 5} {
		t.Run(strconv.Itoa(retries), func(t *testing.T) {
			t.Parallel()
			queue, c := Queue(t), Client(t)
			var attempts []string
			impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
				err := c.RecordActivityHeartbeat(ctx, activity.GetInfo(ctx).TaskToken, "foreign, while the body runs")
				if err != nil {
					return "", retrypolicy.Permanent(err)
				}
				attempts = append(attempts, fmt.Sprint(len(activity.Previous(ctx)), " ", activity.HasHeartbeatDetails(ctx)))
				for _, o := range activity.Previous(ctx) {
					if o.Verdict != retrypolicy.VerdictFailed {
						return "", retrypolicy.Permanent(fmt.Errorf("%+v", o))
					}
				}
				return "", fmt.Errorf("failure %d", n)
			}}
			d, do := Define(t, OnServer, retrypolicy.Policy{NumRetries: retries}, func(string, retrypolicy.Attempt) error { return nil })
			w := worker.New(c, queue, worker.Options{Interceptors: []interceptor.WorkerInterceptor{&eraser{client: c}}})
			worker.Register(w, d, impl)
			require.NoError(t, w.Start())
			t.Cleanup(w.Stop)
			_, err := Submit(t, c, do, queue, "").Get(t.Context())
			require.ErrorContains(t, err, fmt.Sprintf("failure %d", retries+1))
			assert.EqualValues(t, retries+1, impl.Started.Load())
			for n, got := range attempts {
				assert.Equal(t, fmt.Sprint(n, " ", false), got, "every earlier outcome is there, and nothing foreign")
			}
		})
	}
}

// The result belongs to whoever completes the activity; the engine has no say
// in it, nor does it see an error.
func TestPendingResultPassesThroughUnjudged(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	tokens := make(chan []byte, 10)
	impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
		tokens <- activity.GetInfo(ctx).TaskToken
		return "ignored", activity.ErrResultPending
	}}
	judged := make(chan string, 10)
	d := activity.Define[*Scripted]("Scripted", activity.Options{
		Retry:       retrypolicy.Policy{NumRetries: 5, Wait: time.Millisecond},
		CallTimeout: time.Minute, HeartbeatTimeout: activity.NoHeartbeat,
	})
	do := activity.Method(d, "Do", (*Scripted).Do, activity.MethodOptions[string, string]{
		RetryUntil: []validation.Validator[string]{func(s string, _ retrypolicy.Attempt) error {
			judged <- s
			return errors.New("never good")
		}},
	})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })

	call := Submit(t, c, do, queue, "")
	require.NoError(t, c.CompleteActivity(t.Context(), <-tokens, "as it is", nil))
	out, err := call.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "as it is", out)

	call = Submit(t, c, do, queue, "")
	require.NoError(t, c.CompleteActivity(t.Context(), <-tokens, nil, temporal.NewNonRetryableApplicationError("given up", "GivenUp", nil)))
	_, err = call.Get(t.Context())
	require.ErrorContains(t, err, "given up")

	assert.EqualValues(t, 2, impl.Started.Load())
	assert.Empty(t, judged)
}
