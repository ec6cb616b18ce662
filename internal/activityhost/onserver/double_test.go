package onserver_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	concurry "github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

func TestPluginOnClientAndWorkerIsOneEngine(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{InPlace, OnServer} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			policies := worker.Policies{"Scripted.Do": {Retry: e.Policy(retrypolicy.Policy{NumRetries: 3, Wait: time.Millisecond})}}
			c := testsuite.Dial(t, testsuite.Server(t), client.Options{Plugins: []client.Plugin{worker.Plugin(policies)}})
			queue := Queue(t)
			impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) { return "", fmt.Errorf("failure %d", n) }}
			w := sdkworker.New(c, queue, sdkworker.Options{Plugins: []sdkworker.Plugin{worker.Plugin(policies)}})
			w.RegisterActivityWithOptions(impl.Do, activity.RegisterOptions{Name: "Scripted.Do"})
			run := func(ctx workflow.Context) error {
				ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
				return workflow.ExecuteActivity(ctx, "Scripted.Do", "").Get(ctx, nil)
			}
			w.RegisterWorkflow(run)
			require.NoError(t, w.Start())
			t.Cleanup(w.Stop)
			call, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: queue}, run)
			require.NoError(t, err)
			require.ErrorContains(t, call.Get(t.Context(), nil), "failure 4")
			assert.EqualValues(t, 4, impl.Started.Load())
		})
	}
}

func TestDefinitionIsHostedWhereTheClientHasThePluginToo(t *testing.T) {
	t.Parallel()
	c := testsuite.Dial(t, testsuite.Server(t), client.Options{Plugins: []client.Plugin{worker.Plugin()}})
	queue := Queue(t)
	impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) { return "", fmt.Errorf("failure %d", n) }}
	d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 3})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	_, err := Submit(t, c, do, queue, "").Get(t.Context())
	require.ErrorContains(t, err, "failure 4")
	assert.EqualValues(t, 4, impl.Started.Load())
}

// wrapError has the name of a type that the SDK's own failures have.
type wrapError struct{ error }

func TestErrorsNamedLikeTheSDKsOwnAreRetriedAsOthers(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", wrapError{errors.New("mine")} }}
		d, do := Define(t, e, retrypolicy.Policy{NumRetries: 2})
		_, err := Run(t, e, d, do, impl, "")
		require.ErrorContains(t, err, "mine")
		assert.EqualValues(t, 3, impl.Started.Load())
	})
}

// hollow panics when its chain is walked.
type hollow struct{ inner error }

func (*hollow) Error() string   { return "hollow" }
func (h *hollow) Unwrap() error { return h.inner }

func TestErrorWhoseChainPanicsIsRetriedAsOthers(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", (*hollow)(nil) }}
		d, do := Define(t, e, retrypolicy.Policy{NumRetries: 2})
		_, err := Run(t, e, d, do, impl, "")
		require.Error(t, err)
		assert.EqualValues(t, 3, impl.Started.Load())
	})
}

func TestEngineHeartbeatsWhileItWaitsAlsoForMethodsThatDoThemselves(t *testing.T) {
	t.Parallel()
	for name, validators := range map[string][]validation.Validator[string]{
		"waiting": {func(_ string, a retrypolicy.Attempt) error {
			if a.Number == 1 {
				return errors.New("once more")
			}
			return nil
		}},
		"validating": {func(string, retrypolicy.Attempt) error {
			<-time.After(5 * time.Second)
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queue, c := Queue(t), Client(t)
			var serverAttempts []int32
			impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
				serverAttempts = append(serverAttempts, concurry.GetInfo(ctx).Attempt)
				concurry.RecordHeartbeat(ctx, "progress")
				return "done", nil
			}}
			d := concurry.Define[*Scripted]("Scripted", concurry.Options{
				Retry:          retrypolicy.Policy{NumRetries: 3, Wait: 5 * time.Second, Jitter: retrypolicy.NoJitter, InPlace: time.Hour},
				AttemptTimeout: time.Minute, HeartbeatTimeout: 3 * time.Second,
			})
			do := concurry.Method(d, "Do", (*Scripted).Do, concurry.MethodOptions[string, string]{RetryUntil: validators})
			Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
			_, err := Submit(t, c, do, queue, "").Get(t.Context())
			require.NoError(t, err)
			for _, n := range serverAttempts {
				assert.EqualValues(t, 1, n, "the server gave the worker up")
			}
		})
	}
}

func TestErrorAroundAnInnerCallsRefusalKeepsItsText(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		inner := &validation.RetryValidationError{MethodName: "Inner.Call", Attempts: 7, ValidationErrors: []string{"bad"}}
		impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", fmt.Errorf("order 17: %w", inner) }}
		d, do := Define(t, e, retrypolicy.Policy{NumRetries: 1})
		_, err := Run(t, e, d, do, impl, "")
		require.ErrorContains(t, err, "order 17")
		var rve *validation.RetryValidationError
		require.True(t, validation.As(err, &rve))
		assert.Equal(t, 7, rve.Attempts)
	})
}

func TestObserverThatHeartbeatsSilencesNobody(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	var mu sync.Mutex
	var serverAttempts []int32
	impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		serverAttempts = append(serverAttempts, concurry.GetInfo(ctx).Attempt)
		if n == 1 {
			return "", errors.New("not yet")
		}
		return "ok", nil
	}}
	d, do := ScriptedWith(concurry.Options{
		Retry:            retrypolicy.Policy{NumRetries: 3, Wait: 3 * time.Second, Jitter: retrypolicy.NoJitter, InPlace: time.Minute},
		HeartbeatTimeout: time.Second,
		Observers:        []retrypolicy.Observer{func(ctx context.Context, e retrypolicy.Event) { concurry.RecordHeartbeat(ctx, e.Number) }},
	})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	_, err := Submit(t, c, do, queue, "").Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []int32{1, 1}, serverAttempts, "the server gave the sleeping activity up")
}
