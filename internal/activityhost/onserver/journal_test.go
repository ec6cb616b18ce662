package onserver_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

func TestSecondWorkerContinuesTheJournalOfTheFirst(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	firstRan := make(chan struct{}, 10)
	refuse := func(s string, a retrypolicy.Attempt) error { return fmt.Errorf("%s refused in %d", s, a.Number) }
	var seen [][]string
	var mu sync.Mutex
	impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
		previous := activity.Previous(ctx)
		earlier := make([]string, 0, len(previous))
		for _, o := range previous {
			v, err := retrypolicy.ResultOf[string](o)
			earlier = append(earlier, fmt.Sprint(v, err, o.Reason))
		}
		mu.Lock()
		seen = append(seen, earlier)
		mu.Unlock()
		firstRan <- struct{}{}
		return fmt.Sprintf("result %d", n), nil
	}}
	d, do := Define(t, OnServer, retrypolicy.Policy{NumRetries: 2, Wait: time.Second, Jitter: retrypolicy.NoJitter, Backoff: retrypolicy.Constant}, refuse)

	first := worker.New(c, queue, worker.Options{})
	worker.Register(first, d, impl)
	require.NoError(t, first.Start())
	call := Submit(t, c, do, queue, "")
	<-firstRan
	first.Stop()
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })

	_, err := call.Get(t.Context())
	var rve *validation.RetryValidationError
	require.True(t, validation.As(err, &rve), "%v", err)
	all, err := validation.Results[string](rve)
	require.NoError(t, err)
	assert.Equal(t, []string{"result 1", "result 2", "result 3"}, all)
	assert.Equal(t, []string{"result 1 refused in 1", "result 2 refused in 2", "result 3 refused in 3"}, rve.ValidationErrors)
	assert.Equal(t, [][]string{
		{},
		{"result 1<nil>result 1 refused in 1"},
		{"result 1<nil>result 1 refused in 1", "result 2<nil>result 2 refused in 2"},
	}, seen)
}

func TestFinalErrorKeepsTypeMessageDetailsAndCause(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{Environment, InPlace, OnServer} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			impl := &Scripted{Body: func(context.Context, int, string) (string, error) {
				return "", temporal.NewApplicationErrorWithOptions("no funds", "Declined", temporal.ApplicationErrorOptions{
					Details: []any{"card", 42}, Cause: errors.New("bank said so"),
				})
			}}
			d, do := Define(t, e, retrypolicy.Policy{NumRetries: 1})
			_, err := Run(t, e, d, do, impl, "")
			var app *temporal.ApplicationError
			require.ErrorAs(t, err, &app)
			assert.Equal(t, "Declined", app.Type())
			assert.Equal(t, "no funds; gave up after 2 attempts: retries spent", app.Message())
			assert.True(t, app.NonRetryable())
			assert.Equal(t, temporal.ApplicationErrorCategoryUnspecified, app.Category(), "the final failure is no noise")
			var kind string
			var code int
			require.NoError(t, app.Details(&kind, &code))
			assert.Equal(t, "card 42", fmt.Sprint(kind, " ", code))
			require.ErrorContains(t, app.Unwrap(), "bank said so")
			assert.EqualValues(t, 2, impl.Started.Load())
		})
	}
}

func TestUsersOwnHeartbeatDetailsLiveBesideTheJournal(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{Environment, InPlace, OnServer} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var found []string
			impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
				var step int
				var name string
				err := activity.GetHeartbeatDetails(ctx, &step, &name)
				mu.Lock()
				found = append(found, fmt.Sprintf("%v %v %d %q", activity.HasHeartbeatDetails(ctx), err, step, name))
				mu.Unlock()
				activity.RecordHeartbeat(ctx, n*10, "step")
				activity.RecordHeartbeat(ctx, n*10+1, "later step")
				return "", errors.New("again")
			}}
			d, do := Define(t, e, retrypolicy.Policy{NumRetries: 2})
			_, err := Run(t, e, d, do, impl, "")
			require.ErrorContains(t, err, "again")
			assert.Equal(t, []string{
				`false no data available 0 ""`, `true <nil> 11 "later step"`, `true <nil> 21 "later step"`,
			}, found)
		})
	}
}

func TestWorkerWithoutThePluginReadsTheUsersDetailsOnly(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	ran := make(chan struct{}, 1)
	impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
		activity.RecordHeartbeat(ctx, "page 7")
		ran <- struct{}{}
		return "", errors.New("again")
	}}
	d, do := Define(t, OnServer, retrypolicy.Policy{NumRetries: 2, Wait: time.Second, Jitter: retrypolicy.NoJitter})
	first := worker.New(c, queue, worker.Options{})
	worker.Register(first, d, impl)
	require.NoError(t, first.Start())
	call := Submit(t, c, do, queue, "")
	<-ran
	first.Stop()

	plain := sdkworker.New(c, queue, sdkworker.Options{})
	plain.RegisterActivityWithOptions(func(ctx context.Context, _ string) (string, error) {
		var page string
		err := sdkactivity.GetHeartbeatDetails(ctx, &page)
		return page, err
	}, sdkactivity.RegisterOptions{Name: "Scripted.Do"})
	require.NoError(t, plain.Start())
	t.Cleanup(plain.Stop)
	out, err := call.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "page 7", out)
}

func TestCallersNumbersWinOverTheWorkers(t *testing.T) {
	t.Parallel()
	for _, with := range []bool{true, false} {
		t.Run(fmt.Sprintf("plugin on the client %v", with), func(t *testing.T) {
			t.Parallel()
			queue, c := Queue(t), Client(t)
			impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errors.New("again") }}
			d, _ := Define(t, InPlace, retrypolicy.Policy{NumRetries: 4})
			Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
			_, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
			want := 5
			if with {
				var err error
				c, err = client.NewClientFromExisting(c, client.Options{Plugins: []client.Plugin{worker.Plugin()}})
				require.NoError(t, err)
				t.Cleanup(c.Close)
				want = 2
			}
			_, err := Submit(t, c, do, queue, "").Get(t.Context())
			require.ErrorContains(t, err, "again")
			assert.EqualValues(t, want, impl.Started.Load())
		})
	}
}

func TestCancellationEndsAWaitInPlaceAndIsNeverRetried(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	ran := make(chan struct{}, 1)
	impl := &Scripted{Body: func(context.Context, int, string) (string, error) {
		ran <- struct{}{}
		return "", errors.New("again")
	}}
	d := activity.Define[*Scripted]("Scripted", activity.Options{
		Retry:       retrypolicy.Policy{NumRetries: 5, Wait: time.Hour, Jitter: retrypolicy.NoJitter, InPlace: 2 * time.Hour},
		CallTimeout: 4 * time.Hour, HeartbeatTimeout: time.Second,
	})
	do := activity.Method(d, "Do", (*Scripted).Do)
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	call := Submit(t, c, do, queue, "")
	<-ran
	require.NoError(t, call.Cancel(t.Context(), "enough"))
	_, err := call.Get(t.Context())
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	assert.EqualValues(t, 1, impl.Started.Load())
}

func TestCancellationReachesABodyThatDoesNotHeartbeat(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	ran := make(chan struct{}, 1)
	impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
		ran <- struct{}{}
		<-ctx.Done()
		return "", ctx.Err()
	}}
	d := activity.Define[*Scripted]("Scripted", activity.Options{
		Retry: retrypolicy.Policy{NumRetries: 5}, AttemptTimeout: time.Hour, HeartbeatTimeout: time.Second,
	})
	do := activity.Method(d, "Do", (*Scripted).Do)
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	call := Submit(t, c, do, queue, "")
	<-ran
	require.NoError(t, call.Cancel(t.Context(), "enough"))
	_, err := call.Get(t.Context())
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	assert.EqualValues(t, 1, impl.Started.Load())
}

func TestShutdownHandsAWaitInPlaceOver(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	ran := make(chan struct{}, 10)
	impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) {
		ran <- struct{}{}
		if n == 1 {
			return "", retrypolicy.After(errors.New("later"), 3*time.Second)
		}
		return "second worker", nil
	}}
	d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 1})
	first := worker.New(c, queue, worker.Options{WorkerStopTimeout: time.Minute})
	worker.Register(first, d, impl)
	require.NoError(t, first.Start())
	call := Submit(t, c, do, queue, "")
	<-ran
	first.Stop() // would take the rest of the wait if it were slept out
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	out, err := call.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "second worker", out)
	assert.EqualValues(t, 2, impl.Started.Load())
}

func TestAttemptTimeoutEndsTheAttemptAndIsRetried(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{Environment, InPlace, OnServer, Sync} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
				if n < 3 {
					<-ctx.Done()
					return "", ctx.Err()
				}
				return "in time", nil
			}}
			d := activity.Define[*Scripted]("Scripted", activity.Options{
				Retry: e.Policy(retrypolicy.Policy{NumRetries: 3, Wait: time.Millisecond}), AttemptTimeout: 50 * time.Millisecond,
			})
			do := activity.Method(d, "Do", (*Scripted).Do)
			out, err := Run(t, e, d, do, impl, "")
			require.NoError(t, err)
			assert.Equal(t, "in time", out)
			assert.EqualValues(t, 3, impl.Started.Load())
		})
	}
}

func TestBodyThatIgnoresItsContextIsAbandoned(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{InPlace, Sync} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			t.Cleanup(func() { close(release) })
			impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) {
				if n == 1 {
					<-release
				}
				return fmt.Sprint("attempt ", n), nil
			}}
			d := activity.Define[*Scripted]("Scripted", activity.Options{
				Retry: e.Policy(retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond}), AttemptTimeout: 50 * time.Millisecond,
			})
			do := activity.Method(d, "Do", (*Scripted).Do)
			out, err := Run(t, e, d, do, impl, "")
			require.NoError(t, err)
			assert.Equal(t, "attempt 2", out)
		})
	}
}

func TestEngineNotTheServerRaisesTheFinalErrorNearCallTimeout(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{InPlace, OnServer} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			impl := &Scripted{Body: func(context.Context, int, string) (string, error) { return "", errors.New("the last word") }}
			d := activity.Define[*Scripted]("Scripted", activity.Options{
				Retry:       e.Policy(retrypolicy.Policy{NumRetries: 1000, Wait: 100 * time.Millisecond, Backoff: retrypolicy.Constant, Jitter: retrypolicy.NoJitter}),
				CallTimeout: 10 * time.Second, // which leaves a second for the last answer
			})
			do := activity.Method(d, "Do", (*Scripted).Do)
			_, err := Run(t, e, d, do, impl, "")
			require.ErrorContains(t, err, "the last word")
			var timeout *temporal.TimeoutError
			require.NotErrorAs(t, err, &timeout)
			assert.Greater(t, impl.Started.Load(), int64(5))
		})
	}
}

func TestArgumentsAreFreshInEveryAttempt(t *testing.T) {
	t.Parallel()
	for _, e := range []Engine{Environment, InPlace, OnServer} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			for _, p := range []retrypolicy.Policy{
				{NumRetries: 2, Wait: time.Millisecond},
				{Cases: []retrypolicy.Case{{On: func(error, retrypolicy.Attempt) bool { return true }, NumRetries: 2, Wait: time.Millisecond}}},
			} {
				impl := &sorter{}
				d := activity.Define[*sorter]("Sorter", activity.Options{Retry: e.Policy(p), CallTimeout: time.Minute})
				h := activity.Method(d, "Sort", (*sorter).Sort)
				_, err := Run(t, e, d, h, impl, []int{3, 1, 2})
				require.ErrorContains(t, err, "again")
				assert.Equal(t, [][]int{{3, 1, 2}, {3, 1, 2}, {3, 1, 2}}, impl.got)
			}
		})
	}
}

type sorter struct{ got [][]int }

func (s *sorter) Sort(_ context.Context, in []int) ([]int, error) {
	s.got = append(s.got, slices.Clone(in))
	slices.Sort(in)
	return in, errors.New("again")
}

func TestSuccessAtOnceSendsNoHeartbeat(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	impl := &Scripted{Body: func(_ context.Context, _ int, in string) (string, error) { return in, nil }}
	d, do := Define(t, InPlace, retrypolicy.Policy{NumRetries: 5})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	call := Submit(t, c, do, queue, "x")
	_, err := call.Get(t.Context())
	require.NoError(t, err)
	description, err := call.ActivityHandle().Describe(t.Context(), client.DescribeActivityOptions{IncludeHeartbeatDetails: true})
	require.NoError(t, err)
	assert.LessOrEqual(t, description.LastHeartbeatTime.Unix(), int64(0))
}

func TestForeignWorkersGetExactlyNumRetriesFromTemporalItself(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	d := activity.Define[*Scripted]("Scripted", activity.Options{
		Retry: retrypolicy.Policy{NumRetries: 2, Wait: time.Millisecond}, AttemptTimeout: time.Minute, ForeignWorkers: true,
	})
	do := activity.Method(d, "Do", (*Scripted).Do)
	var started atomic.Int64
	plain := sdkworker.New(c, queue, sdkworker.Options{})
	plain.RegisterActivityWithOptions(func(context.Context, string) (string, error) {
		started.Add(1)
		return "", errors.New("foreign failure")
	}, sdkactivity.RegisterOptions{Name: do.ActivityType()})
	require.NoError(t, plain.Start())
	t.Cleanup(plain.Stop)
	_, err := Submit(t, c, do, queue, "").Get(t.Context())
	require.ErrorContains(t, err, "foreign failure")
	assert.EqualValues(t, 3, started.Load())
}
