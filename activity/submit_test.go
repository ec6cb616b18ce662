package activity_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"

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
func (w way) hosted(t *testing.T, p retrypolicy.Policy, impl *Scripted, validators ...validation.Validator[string]) (client.Client, activity.Handle[string, string]) {
	t.Helper()
	queue := Queue(t)
	d, do := Define(t, InPlace, p, validators...)
	Start(t, w.client(t), queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	return w.client(t), do.With(activity.CallOptions{TaskQueue: queue}).Handle
}

func TestSubmitReturnsTheResult(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, w way) {
		impl := &Scripted{Body: func(_ context.Context, n int, in string) (string, error) {
			if n < 3 {
				return "", errors.New("not yet")
			}
			return in + "!", nil
		}}
		c, do := w.hosted(t, retrypolicy.Policy{NumRetries: 5}, impl)
		call, err := do.Submit(t.Context(), c, "hello")
		require.NoError(t, err)
		assert.Equal(t, w == standalone, call.Standalone())
		assert.Equal(t, w == standalone, call.ActivityHandle() != nil)
		out, err := call.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "hello!", out)
		assert.EqualValues(t, 3, impl.Started.Load())

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
					impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) {
						return "", fmt.Errorf("failure %d", n)
					}}
					p := retrypolicy.Policy{NumRetries: retries}
					o := activity.CallOptions{TaskQueue: Queue(t)}
					if callers {
						p.NumRetries, o.NumRetries = 3, &retries
					}
					d, do := Define(t, InPlace, p)
					c := w.client(t)
					Start(t, c, o.TaskQueue, func(w *worker.Worker) { worker.Register(w, d, impl) })
					call, err := do.With(o).Submit(t.Context(), c, "x")
					require.NoError(t, err)
					_, err = call.Get(t.Context())
					require.ErrorContains(t, err, fmt.Sprintf("failure %d", retries+1))
					assert.EqualValues(t, retries+1, impl.Started.Load())
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
				impl := &Scripted{Body: func(context.Context, int, string) (string, error) {
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
				assert.Equal(t, "no funds; gave up after 2 attempts: retries spent", app.Message())
				assert.True(t, app.NonRetryable())
				assert.Equal(t, temporal.ApplicationErrorCategoryUnspecified, app.Category())
				var kind string
				var code int
				require.NoError(t, app.Details(&kind, &code))
				assert.Equal(t, "card 42", fmt.Sprint(kind, " ", code))
				if !temporal.IsCanceledError(cause) {
					require.ErrorContains(t, app.Unwrap(), cause.Error())
				}
				assert.EqualValues(t, 2, impl.Started.Load())

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
		impl := &Scripted{Body: func(_ context.Context, n int, in string) (string, error) { return fmt.Sprintf("%s%d", in, n), nil }}
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
