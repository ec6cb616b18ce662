package testsuite_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// flaky fails until its third attempt.
type flaky struct{ attempts int }

func (f *flaky) Fetch(_ context.Context, id string) (string, error) {
	if f.attempts++; f.attempts < 3 {
		return "", errors.New("connection reset")
	}
	return "page " + id, nil
}

func fetching() (*activity.Definition[*flaky], *activity.MethodHandle[*flaky, string, string]) {
	d := activity.Define[*flaky]("Flaky", activity.Options{
		Retry:       retrypolicy.Policy{NumRetries: 3, Wait: time.Hour, Jitter: retrypolicy.NoJitter, InPlace: 24 * time.Hour},
		CallTimeout: 24 * time.Hour,
	})
	return d, activity.Method(d, "Fetch", (*flaky).Fetch)
}

func TestWaitsFollowTheEnvironmentsClock(t *testing.T) {
	t.Parallel()
	d, fetch := fetching()
	env := testsuite.NewWorkflowEnvironment(t)
	impl := &flaky{}
	testsuite.Register(t, env, d, impl)
	var fired time.Duration
	env.ExecuteWorkflow(func(ctx workflow.Context) (string, error) {
		begin := workflow.Now(ctx)
		call := fetch.Execute(ctx, "7")
		if err := workflow.Sleep(ctx, 90*time.Minute); err != nil { // between the second and the third attempt
			return "", err
		}
		fired = workflow.Now(ctx).Sub(begin)
		assert.Equal(t, 2, impl.attempts)
		assert.False(t, call.IsReady())
		out, err := call.Get(ctx)
		assert.True(t, call.IsReady())
		return out, err
	})
	require.NoError(t, env.GetWorkflowError())
	var out string
	require.NoError(t, env.GetWorkflowResult(&out))
	assert.Equal(t, "page 7", out)
	assert.Equal(t, 90*time.Minute, fired)
	assert.Equal(t, 3, impl.attempts)
}

func TestFunctionMocksRunUnderThePolicy(t *testing.T) {
	t.Parallel()
	d, fetch := fetching()
	env := testsuite.NewWorkflowEnvironment(t)
	testsuite.Register(t, env, d, &flaky{})
	calls := 0
	env.OnActivity("Flaky.Fetch", mock.Anything, mock.Anything).Return(func(context.Context, string) (string, error) {
		if calls++; calls < 4 {
			return "", errors.New("mocked failure")
		}
		return "mocked", nil
	})
	env.ExecuteWorkflow(func(ctx workflow.Context) (string, error) { return fetch.Execute(ctx, "7").Get(ctx) })
	var out string
	require.NoError(t, env.GetWorkflowResult(&out))
	assert.Equal(t, "mocked", out)
	assert.Equal(t, 4, calls)
}

func TestActivityEnvironmentRunsAllAttemptsOnItsClock(t *testing.T) {
	t.Parallel()
	d, _ := fetching()
	env := testsuite.NewActivityEnvironment(t)
	testsuite.Register(t, env, d, &flaky{})
	value, err := env.ExecuteActivity("Flaky.Fetch", "7")
	require.NoError(t, err)
	var out string
	require.NoError(t, value.Get(&out))
	assert.Equal(t, "page 7", out)
	assert.Equal(t, []time.Duration{time.Hour, 2 * time.Hour}, env.Clock.Slept())
}

func TestClockSleepsInNoTimeAndDrawsFromItsSeed(t *testing.T) {
	t.Parallel()
	_, fetch := fetching()
	clock := testsuite.NewClock()
	begin := clock.Now()
	out, err := fetch.Inline(&flaky{}).WithClock(clock.Clock()).Call(t.Context(), "7")
	require.NoError(t, err)
	assert.Equal(t, "page 7", out)
	assert.Equal(t, 3*time.Hour, clock.Now().Sub(begin))
	assert.Equal(t, testsuite.Seeded(7)(1000), testsuite.Seeded(7)(1000))
}

func TestEnvironmentsTakeWhatWorkersAreRefinedWith(t *testing.T) {
	t.Parallel()
	var told []string
	refine := []worker.Option{
		worker.Policies{"Fetch": {Retry: retrypolicy.Policy{NumRetries: 3, Wait: time.Hour, Jitter: retrypolicy.NoJitter}}},
		worker.Observe(func(_ context.Context, e retrypolicy.Event) {
			told = append(told, fmt.Sprintf("%s %d %s", e.Method, e.Number, e.Verdict))
		}),
	}
	want := []string{"Fetch 1 failed", "Fetch 2 failed", "Fetch 3 accepted"}

	workflows := testsuite.NewWorkflowEnvironment(t, refine...)
	workflows.RegisterActivity(&flaky{})
	workflows.ExecuteWorkflow(func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
		return workflow.ExecuteActivity(ctx, "Fetch", "7").Get(ctx, nil)
	})
	require.NoError(t, workflows.GetWorkflowError())
	assert.Equal(t, want, told)

	told = nil
	activities := testsuite.NewActivityEnvironment(t, refine...)
	activities.RegisterActivity(&flaky{})
	_, err := activities.ExecuteActivity("Fetch", "7")
	require.NoError(t, err)
	assert.Equal(t, want, told)
}
