package testsuite_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
)

// clerk does what its body says.
type clerk struct {
	body func(ctx context.Context) error
}

func (c *clerk) Do(ctx context.Context, _ string) (string, error) {
	if c.body == nil {
		return "", nil
	}
	return "", c.body(ctx)
}

type (
	clerks = activity.Definition[*clerk]
	doing  = activity.MethodHandle[*clerk, string, string]
)

// bounded is a method whose attempts require units of source, by its argument as
// the key where there are keys.
func bounded(source limits.Source, units limits.Units, retry retrypolicy.Policy, callTimeout time.Duration) (*clerks, *doing) {
	d := activity.Define[*clerk]("Clerk", activity.Options{Limits: source, Requires: units, Retry: retry, CallTimeout: callTimeout})
	var o activity.MethodOptions[string, string]
	switch source.(type) {
	case *limits.Declaration, *limits.Keyed:
		o.LimitKey = func(key string) string { return key }
	}
	return d, activity.Method(d, "Do", (*clerk).Do, o)
}

// together makes calls at once, one for each key, and returns how much of the
// environment's time they took.
func together(t *testing.T, d *clerks, do *doing, impl *clerk, keys ...string) (took time.Duration, err error) {
	t.Helper()
	env := testsuite.NewWorkflowEnvironment(t)
	testsuite.Register(t, env, d, impl)
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		begin := workflow.Now(ctx)
		calls := make([]activity.Future[string], len(keys))
		for i, key := range keys {
			calls[i] = do.Execute(ctx, key)
		}
		var errs []error
		for _, call := range calls {
			_, err := call.Get(ctx)
			errs = append(errs, err)
		}
		took = workflow.Now(ctx).Sub(begin)
		return errors.Join(errs...)
	})
	require.True(t, env.IsWorkflowCompleted())
	return took, env.GetWorkflowError()
}

// times is n calls of one key.
func times(n int, key string) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = key
	}
	return keys
}

const day = 24 * time.Hour

// perMinute lets one call through a minute: what a slow machine takes for all of
// them is much less.
var perMinute = limits.Rate("r", 1, time.Minute)

func TestCallsOfARateTakeAsLongAsTheRateInTheEnvironment(t *testing.T) {
	t.Parallel()
	pool := func(of ...limits.Limit) *limits.Pool {
		var members []limits.Member
		for _, l := range of {
			members = append(members, limits.Member{Set: limits.MustNew(l)})
		}
		p, err := limits.NewPool(members...)
		require.NoError(t, err)
		return p
	}
	for name, test := range map[string]struct {
		source limits.Source
		keys   []string
		want   time.Duration
	}{
		"declared":                    {limits.PerWorker(perMinute), times(20, ""), 19 * time.Minute},
		"declared, of keys":           {limits.PerWorker(perMinute), append(times(5, "a"), times(8, "b")...), 7 * time.Minute},
		"token bucket":                {limits.PerWorker(limits.Rate("r", 60, time.Hour).By(limits.AlgorithmTokenBucket).WithBurst(4)), times(20, ""), 16 * time.Minute},
		"gcra":                        {limits.PerWorker(limits.Rate("r", 60, time.Hour).By(limits.AlgorithmGCRA).WithBurst(4)), times(20, ""), 16 * time.Minute},
		"leaky bucket":                {limits.PerWorker(limits.Rate("r", 60, time.Hour).By(limits.AlgorithmLeakyBucket)), times(20, ""), 19 * time.Minute},
		"sliding window of several":   {limits.PerWorker(limits.Rate("r", 4, time.Minute)), times(20, ""), 4 * time.Minute},
		"fixed window of several":     {limits.PerWorker(limits.Rate("r", 4, time.Minute).By(limits.AlgorithmFixedWindow)), times(20, ""), 4 * time.Minute},
		"beside a resource":           {limits.PerWorker(perMinute, limits.Resource("c", 100)), times(20, ""), 19 * time.Minute},
		"a set of the program":        {limits.MustNew(perMinute), times(20, ""), 19 * time.Minute},
		"a keyed set of the program":  {limits.MustNewKeyed(perMinute), append(times(5, "a"), times(8, "b")...), 7 * time.Minute},
		"a pool":                      {pool(perMinute, perMinute), times(20, ""), 9 * time.Minute},
		"a pool of different members": {pool(perMinute, limits.Rate("r", 1, 10*time.Minute)), times(20, ""), 17 * time.Minute}, // 18 of the first, and 2 of the second
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, do := bounded(test.source, limits.Units{"r": 1}, retrypolicy.Policy{}, day)
			took, err := together(t, d, do, &clerk{}, test.keys...)
			require.NoError(t, err)
			assert.Equal(t, test.want, took)
		})
	}
}

func TestCallOfALineIsHandedBackOnce(t *testing.T) {
	t.Parallel()
	const calls = 200
	var handBacks atomic.Int64
	d, do := bounded(limits.PerWorker(perMinute), limits.Units{"r": 1}, retrypolicy.Policy{}, day)
	took, err := together(t, d, do, &clerk{body: func(ctx context.Context) error {
		handBacks.Add(int64(sdkactivity.GetInfo(ctx).Attempt - 1))
		return nil
	}}, times(calls, "")...)
	require.NoError(t, err)
	assert.Equal(t, (calls-1)*time.Minute, took)
	assert.LessOrEqual(t, handBacks.Load(), int64(calls+calls/10), "and hardly one twice")
}

func TestBodyWaitsForASetOfTheProgramInNoTime(t *testing.T) {
	t.Parallel()
	set := limits.MustNew(limits.Rate("r", 1, 1000*time.Hour))
	d, do := bounded(set, nil, retrypolicy.Policy{}, day)
	_, err := together(t, d, do, &clerk{body: func(ctx context.Context) error {
		_, err := limits.Acquire(ctx, limits.Units{"r": 1})
		return err
	}}, "", "", "")
	require.NoError(t, err)
}

func TestActivityEnvironmentWaitsForASetOfTheProgramOnItsClock(t *testing.T) {
	t.Parallel()
	d, _ := bounded(limits.MustNew(perMinute), limits.Units{"r": 1}, retrypolicy.Policy{}, day)
	env := testsuite.NewActivityEnvironment(t)
	testsuite.Register(t, env, d, &clerk{})
	for range 3 {
		_, err := env.ExecuteActivity("Clerk.Do", "")
		require.NoError(t, err)
	}
	assert.Equal(t, []time.Duration{time.Minute, time.Minute}, env.Clock.Slept())
}

func TestSetOfTheProgramRemembersFromOneEnvironmentToTheNext(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]limits.Source{"set": limits.MustNew(perMinute), "keyed": limits.MustNewKeyed(perMinute)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, do := bounded(source, limits.Units{"r": 1}, retrypolicy.Policy{}, day)
			t.Run("first", func(t *testing.T) {
				took, err := together(t, d, do, &clerk{}, times(3, "")...)
				require.NoError(t, err)
				assert.Equal(t, 2*time.Minute, took)
			})
			t.Run("second", func(t *testing.T) {
				took, err := together(t, d, do, &clerk{}, times(3, "")...)
				require.NoError(t, err)
				assert.Greater(t, took, 2*time.Minute, "what the first took last counts")
				assert.LessOrEqual(t, took, 3*time.Minute)
			})
		})
	}
}

func TestEnvironmentsThatShareASetAtOnceAreBothServed(t *testing.T) {
	t.Parallel()
	set := limits.MustNew(perMinute, limits.Resource("c", 1))
	d, do := bounded(set, limits.Units{"r": 1, "c": 1}, retrypolicy.Policy{}, day)
	for _, name := range []string{"one", "other"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := together(t, d, do, &clerk{}, times(5, "")...)
			require.NoError(t, err)
		})
	}
	t.Cleanup(func() {
		snapshot := set.Snapshot()
		assert.Zero(t, snapshot.Leases)
		assert.Zero(t, snapshot.Waiting)
	})
}

func TestWaitForAResourceEndsSoonAfterItIsReleased(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ held, most time.Duration }{
		"for seconds":   {5 * time.Second, 5*time.Second + 400*time.Millisecond}, // a shorter one could pass in real time, while an activity runs
		"for a minute":  {time.Minute, 64 * time.Second},
		"for two hours": {2 * time.Hour, 2*time.Hour + 16*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := limits.MustNew(limits.Resource("c", 1))
			held, err := set.TryAcquire(limits.Units{"c": 1})
			require.NoError(t, err)
			d, do := bounded(set, limits.Units{"c": 1}, retrypolicy.Policy{}, day)
			env := testsuite.NewWorkflowEnvironment(t)
			testsuite.Register(t, env, d, &clerk{})
			var took time.Duration
			env.RegisterDelayedCallback(held.Release, test.held)
			env.ExecuteWorkflow(func(ctx workflow.Context) error {
				begin := workflow.Now(ctx)
				_, err := do.Execute(ctx, "").Get(ctx)
				took = workflow.Now(ctx).Sub(begin)
				return err
			})
			require.NoError(t, env.GetWorkflowError())
			assert.GreaterOrEqual(t, took, test.held)
			assert.LessOrEqual(t, took, test.most)
		})
	}
}

func TestEndOfTheCallsTimeEndsItsWaitInTheEnvironment(t *testing.T) {
	t.Parallel()
	hourly := limits.Rate("r", 1, time.Hour)
	for name, source := range map[string]limits.Source{"declared": limits.PerWorker(hourly), "of the program": limits.MustNew(hourly)} {
		t.Run("CallTimeout, "+name, func(t *testing.T) {
			t.Parallel()
			d, do := bounded(source, limits.Units{"r": 1}, retrypolicy.Policy{}, 10*time.Minute)
			took, err := together(t, d, do, &clerk{}, "", "")
			require.ErrorContains(t, err, "no room for r")
			assert.Equal(t, 10*time.Minute, took)
		})
	}
	t.Run("MaxElapsed", func(t *testing.T) {
		t.Parallel()
		d, do := bounded(limits.PerWorker(hourly), limits.Units{"r": 1}, retrypolicy.Policy{NumRetries: 3, Wait: time.Second, MaxElapsed: time.Minute}, day)
		took, err := together(t, d, do, &clerk{body: func(context.Context) error { return errors.New("the first failure") }}, "")
		require.ErrorContains(t, err, "the first failure")
		assert.InDelta(t, time.Minute, took, float64(time.Millisecond))
	})
}
