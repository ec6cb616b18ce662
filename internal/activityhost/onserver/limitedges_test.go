package onserver_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// twice calls do twice, one after the other, in a workflow environment.
func twice(t *testing.T, d *activity.Definition[*Scripted], call func(ctx workflow.Context) error, body func(ctx context.Context, n int, in string) (string, error)) {
	t.Helper()
	env := testsuite.NewWorkflowEnvironment(t)
	testsuite.Register(t, env, d, &Scripted{Body: body})
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		if err := call(ctx); err != nil {
			return err
		}
		return call(ctx)
	})
	require.True(t, env.IsWorkflowCompleted())
	require.NoError(t, env.GetWorkflowError())
}

func fine(context.Context, int, string) (string, error) { return "ok", nil }

func TestWaitForARateTakesNoTimeInAWorkflowEnvironment(t *testing.T) {
	t.Parallel()
	hourly := limits.Rate("r", 1, time.Hour)
	long := activity.CallOptions{CallTimeout: 5 * time.Hour}
	t.Run("of an activity", func(t *testing.T) {
		t.Parallel()
		d, do := Limited(Environment, limits.PerWorker(hourly), limits.Units{"r": 1}, retrypolicy.Policy{})
		twice(t, d, func(ctx workflow.Context) error { _, err := do.With(long).Execute(ctx, "x").Get(ctx); return err }, fine)
	})
	t.Run("of a local activity", func(t *testing.T) {
		t.Parallel()
		d, do := Limited(Environment, limits.PerWorker(hourly), limits.Units{"r": 1}, retrypolicy.Policy{})
		twice(t, d, func(ctx workflow.Context) error { _, err := do.With(long).ExecuteLocal(ctx, "x").Get(ctx); return err }, fine)
	})
	t.Run("inside a method", func(t *testing.T) {
		t.Parallel()
		d, do := Limited(Environment, limits.PerWorker(hourly), nil, retrypolicy.Policy{})
		twice(t, d, func(ctx workflow.Context) error { _, err := do.With(long).Execute(ctx, "x").Get(ctx); return err }, func(ctx context.Context, _ int, _ string) (string, error) {
			_, err := limits.Acquire(ctx, limits.Units{"r": 1})
			return "ok", err
		})
	})
	t.Run("however long waits in place may be", func(t *testing.T) {
		t.Parallel()
		d := activity.Define[*Scripted]("Scripted", activity.Options{
			Retry: retrypolicy.Policy{InPlace: time.Hour}, CallTimeout: 3 * time.Hour, Limits: limits.PerWorker(hourly), Requires: limits.Units{"r": 1},
		})
		do := activity.Method(d, "Do", (*Scripted).Do)
		twice(t, d, func(ctx workflow.Context) error { _, err := do.Execute(ctx, "x").Get(ctx); return err }, fine)
	})
}

// Whoever takes the call over takes the units again.
func TestStartThatIsRefusedChargesNothing(t *testing.T) {
	t.Parallel()
	var beats, refused atomic.Int64
	refuse := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if strings.Contains(method, "RecordActivityTaskHeartbeat") {
			if beats.Add(1) == 2 { // the record of the start
				refused.Add(1)
				return status.Error(codes.InvalidArgument, "refused once")
			}
		}
		return invoker(ctx, method, req, reply, cc, opts...)
	}
	c := testsuite.Dial(t, testsuite.Server(t), client.Options{ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(refuse)}}})
	queue := Queue(t)
	set := limits.MustNew(limits.Resource("c", 1), limits.Calls(100, time.Hour), limits.Rate("tokens", 1000, time.Hour))
	hold, err := set.TryAcquire(limits.Units{"c": 1})
	require.NoError(t, err)
	d := activity.Define[*Scripted]("Limited", activity.Options{CallTimeout: time.Minute, Limits: set, Requires: limits.Units{"c": 1, "tokens": 10}, Retry: retrypolicy.Policy{InPlace: 20 * time.Second}})
	h := activity.Method(d, "Do", (*Scripted).Do)
	impl := &Scripted{Body: fine}
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	call := Submit(t, c, h, queue, "1")
	require.Eventually(t, func() bool { return set.Snapshot().Waiting == 1 }, 20*time.Second, time.Millisecond)
	hold.Undo() // gives its own call back too
	_, err = call.Get(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, refused.Load())
	require.EqualValues(t, 1, impl.Started.Load())
	assert.InDelta(t, 1, set.Snapshot().Limits[1].InUse, 0, "once per call")
	assert.InDelta(t, 10, set.Snapshot().Limits[2].InUse, 0, "of one body")
}

func TestInlineCallThatIsCanceledWhileARetryWaitsForLimitsSaysSo(t *testing.T) {
	t.Parallel()
	set := limits.MustNew(limits.Resource("c", 1))
	ctx, cancel := context.WithCancel(t.Context())
	others := make(chan limits.Lease, 1)
	impl := &Scripted{Body: func(context.Context, int, string) (string, error) {
		go func() { // has the unit when this attempt ends
			lease, _ := set.Acquire(context.Background(), limits.Units{"c": 1})
			others <- lease
			for set.Snapshot().Waiting == 0 {
				runtime.Gosched()
			}
			cancel()
		}()
		for set.Snapshot().Waiting == 0 {
			runtime.Gosched()
		}
		return "", errors.New("first failure")
	}}
	_, do := Limited(InPlace, set, limits.Units{"c": 1}, retrypolicy.Policy{NumRetries: 3})
	_, err := do.Inline(impl).Call(ctx, "x")
	Next(t, others).Release()
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "before attempt 2; attempt 1: first failure")
}

func TestBodyThatEndsItsGoroutineHasReleasedBeforeAnythingIsDecided(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{Environment, InPlace, OnServer} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			set := limits.MustNew(limits.Resource("c", 3))
			var mu sync.Mutex
			var between []float64
			impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) {
				if n < 3 {
					runtime.Goexit()
				}
				return "ok", nil
			}}
			d := activity.Define[*Scripted]("Scripted", activity.Options{
				Retry: e.Policy(retrypolicy.Policy{NumRetries: 5, Wait: time.Millisecond}), CallTimeout: time.Minute,
				Limits: set, Requires: limits.Units{"c": 2},
				Observers: []retrypolicy.Observer{func(context.Context, retrypolicy.Event) {
					mu.Lock()
					defer mu.Unlock()
					between = append(between, set.Snapshot().Limits[0].InUse)
				}},
			})
			do := activity.Method(d, "Do", (*Scripted).Do)
			_, err := Run(t, e, d, do, impl, "x")
			require.NoError(t, err)
			mu.Lock()
			defer mu.Unlock()
			assert.Equal(t, []float64{0, 0, 0}, between, "released before anything is decided")
			assert.Zero(t, set.Snapshot().Leases)
		})
	}
}

func TestRetryThatCanNeverHaveItsUnitsEndsWithTheLastError(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		set := limits.MustNew(limits.Resource("c", 3))
		impl := &Scripted{Body: func(context.Context, int, string) (string, error) {
			if err := set.Resize("c", 1); err != nil {
				return "", err
			}
			return "", errors.New("the first failure")
		}}
		d, do := Limited(e, set, limits.Units{"c": 2}, retrypolicy.Policy{NumRetries: 3})
		_, err := Run(t, e, d, do, impl, "x")
		assert.Zero(t, set.Snapshot().Leases)
		require.ErrorContains(t, err, "the first failure")
		stop, _ := retrypolicy.StopOf(err)
		assert.Equal(t, retrypolicy.StopLimits, stop.Stop, "%v", err)
	})
}

func TestMaxElapsedBoundsTheWaitForLimitsOfARetry(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{Sync, Environment} { // whose waits move the clock
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			d := activity.Define[*Scripted]("Scripted", activity.Options{
				Retry:       retrypolicy.Policy{NumRetries: 3, Wait: time.Second, MaxElapsed: time.Minute},
				CallTimeout: 24 * time.Hour, Limits: limits.PerWorker(limits.Rate("r", 1, time.Hour)), Requires: limits.Units{"r": 1},
			})
			do := activity.Method(d, "Do", (*Scripted).Do)
			impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errors.New("the first failure") }}
			var err error
			if e == Sync {
				_, err = do.Inline(impl).WithClock(testsuite.NewClock().Clock()).Call(t.Context(), "x")
			} else {
				_, err = Run(t, e, d, do, impl, "x")
			}
			stopsForLimits(t, err)
			assert.EqualValues(t, 1, impl.Started.Load())
		})
	}
	t.Run("activity environment", func(t *testing.T) {
		t.Parallel()
		d := activity.Define[*Scripted]("Scripted", activity.Options{
			Retry:       retrypolicy.Policy{NumRetries: 3, Wait: time.Second, MaxElapsed: time.Minute},
			CallTimeout: 24 * time.Hour, Limits: limits.PerWorker(limits.Rate("r", 1, time.Hour)), Requires: limits.Units{"r": 1},
		})
		activity.Method(d, "Do", (*Scripted).Do)
		env := testsuite.NewActivityEnvironment(t)
		testsuite.Register(t, env, d, &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errors.New("the first failure") }})
		_, err := env.ExecuteActivity("Scripted.Do", "x")
		stopsForLimits(t, err)
	})
	for _, e := range []Engine{InPlace, OnServer} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			set := limits.MustNew(limits.Resource("c", 1))
			others := make(chan limits.Lease, 1)
			impl := &Scripted{Body: func(context.Context, int, string) (string, error) {
				go func() {
					lease, _ := set.Acquire(context.Background(), limits.Units{"c": 1})
					others <- lease
				}()
				for set.Snapshot().Waiting == 0 {
					runtime.Gosched()
				}
				return "", errors.New("the first failure")
			}}
			d, do := Limited(e, set, limits.Units{"c": 1}, retrypolicy.Policy{NumRetries: 3, MaxElapsed: 4 * time.Second})
			_, err := Run(t, e, d, do, impl, "x")
			Next(t, others).Release()
			stopsForLimits(t, err)
			assert.EqualValues(t, 1, impl.Started.Load())
		})
	}
}

func stopsForLimits(t *testing.T, err error) {
	t.Helper()
	require.ErrorContains(t, err, "the first failure")
	stop, _ := retrypolicy.StopOf(err)
	assert.Equal(t, retrypolicy.StopLimits, stop.Stop, "%v", err)
}
