package onserver_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
	"github.com/concurry-go/concurry/worker"
)

// exits is a body that ends its goroutine, as a test's FailNow does.
func exits(context.Context, int, string) (string, error) { runtime.Goexit(); return "", nil }

func TestGoexitAnywhereIsAnErrorAtOnce(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"body", "validator", "filter"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			p := retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond}
			var validators []validation.Validator[string]
			switch where {
			case "validator":
				validators = append(validators, func(string, retrypolicy.Attempt) error { runtime.Goexit(); return nil })
			case "filter":
				p.RetryOn = []retrypolicy.Filter{func(error, retrypolicy.Attempt) bool { runtime.Goexit(); return true }}
			}
			impl := &Scripted{Body: func(context.Context, int, string) (string, error) {
				switch where {
				case "body":
					runtime.Goexit()
				case "filter":
					return "", errors.New("failure")
				}
				return "result", nil
			}}
			queue, c := Queue(t), Client(t)
			d := activity.Define[*Scripted]("Scripted", activity.Options{Retry: p, CallTimeout: time.Minute, HeartbeatTimeout: activity.NoHeartbeat})
			do := activity.Method(d, "Do", (*Scripted).Do, activity.MethodOptions[string, string]{RetryUntil: validators})
			Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
			_, err := Submit(t, c, do, queue, "").Get(t.Context())
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "timeout", "nobody answered")
			bodies := map[string]int64{"body": 2, "validator": 2, "filter": 1} // a filter that does not say yes has said no
			assert.Equal(t, bodies[where], impl.Started.Load())
		})
	}
}

func TestGoexitIsAFailureLikeAnyOther(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	var seen Events
	impl := &Scripted{Body: exits}
	d, do := ScriptedWith(activity.Options{
		Retry: retrypolicy.Policy{NumRetries: 2, Wait: time.Millisecond, RetryOn: []retrypolicy.Filter{
			func(err error, a retrypolicy.Attempt) bool { return errors.Is(err, failure.ErrGoexit) && a.Number < 2 },
		}},
		Observers: []retrypolicy.Observer{seen.Observe},
	})
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	_, err := Submit(t, c, do, queue, "").Get(t.Context())
	require.ErrorContains(t, err, failure.ErrGoexit.Error())
	assert.Equal(t, []string{
		"Scripted.Do 1 failed: retry (" + failure.ErrGoexit.Error() + ")",
		"Scripted.Do 2 failed: give up, not retried by any filter (" + failure.ErrGoexit.Error() + ")",
	}, seen.Told())
}

func TestGoexitOfALocalActivityIsNoSuccess(t *testing.T) {
	t.Parallel()
	eachLocal(t, func(t *testing.T, e Engine) {
		impl := &Scripted{Body: exits}
		d, do := ScriptedWith(activity.Options{Retry: e.Policy(retrypolicy.Policy{NumRetries: 2, Wait: time.Millisecond})})
		_, err := runLocal(t, e, d, do, impl, "")
		require.ErrorContains(t, err, failure.ErrGoexit.Error())
		assert.EqualValues(t, 3, impl.Started.Load())
	})
}

func TestGoexitInATestEnvironmentIsNoSuccess(t *testing.T) {
	t.Parallel()
	impl := &Scripted{Body: exits}
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 2, Wait: time.Millisecond}})
	_, err := Run(t, Environment, d, do, impl, "")
	require.ErrorContains(t, err, failure.ErrGoexit.Error())
	env := testsuite.NewActivityEnvironment(t)
	testsuite.Register(t, env, d, impl)
	_, err = env.ExecuteActivity(do.ActivityType(), "")
	require.ErrorContains(t, err, failure.ErrGoexit.Error())
	assert.EqualValues(t, 6, impl.Started.Load())
}

func TestGoexitOfOneInputLeavesTheOthersOfAMapAlone(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"body", "validator"} {
		goexit := func(here string, n int) {
			if here == where && n == 2 {
				runtime.Goexit()
			}
		}
		bodies := make([]int, 5)
		f := activity.Func("F", func(_ context.Context, n int) (int, error) {
			bodies[n]++
			goexit("body", n)
			return n, nil
		}, activity.FuncOptions[int, int]{
			Retry:      retrypolicy.Policy{NumRetries: 1, Wait: retrypolicy.NoWait},
			RetryUntil: []validation.Validator[int]{func(n int, _ retrypolicy.Attempt) error { goexit("validator", n); return nil }},
		})
		outs, err := f.Inline().Map(t.Context(), []int{1, 2, 3, 4}, activity.Concurrency(1))
		var failed *activity.MapError
		require.ErrorAs(t, err, &failed)
		require.ErrorIs(t, failed.Errors[1], failure.ErrGoexit)
		assert.Equal(t, []int{1, 0, 3, 4}, outs)
		if where == "body" {
			assert.Equal(t, []int{0, 1, 2, 1, 1}, bodies, "retried like any failure")
		}
	}
}

// In the caller's own goroutine it is the caller's end, as in Go; what the call
// held is free again.
func TestGoexitOfAnInlineCallReleasesItsLimits(t *testing.T) {
	t.Parallel()
	set := limits.MustNew(limits.Resource("connections", 1))
	f := activity.Func("F", func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil },
		activity.FuncOptions[int, int]{Limits: set, Requires: limits.Units{"connections": 1}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = f.Inline().Call(t.Context(), 1)
	}()
	<-done
	lease, err := set.TryAcquire(limits.Units{"connections": 1})
	require.NoError(t, err)
	lease.Release()
}
