package activity_test

import (
	"context"
	"errors"
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
)

func TestOptionsOfOneCallHoldInProcess(t *testing.T) {
	t.Parallel()
	started := 0
	fail := activity.Func("Fail", func(ctx context.Context, _ int) (int, error) {
		started++
		_, bounded := ctx.Deadline()
		if !bounded {
			return 0, errors.New("no AttemptTimeout")
		}
		return 0, io.EOF
	}, activity.FuncOptions[int, int]{Retry: retrypolicy.Policy{NumRetries: 1, Wait: retrypolicy.NoWait}})
	retries := 4
	in := fail.With(activity.CallOptions{NumRetries: &retries, AttemptTimeout: time.Minute}).Inline().WithClock(testsuite.NewClock().Clock())
	_, err := in.Call(t.Context(), 1)
	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, 5, started)

	d := activity.Define[*bot]("Bot", activity.Options{Retry: retrypolicy.Policy{NumRetries: 1, Wait: retrypolicy.NoWait}})
	say := activity.Method(d, "Say", (*bot).Say, activity.MethodOptions[string, string]{
		RetryUntil: []validation.Validator[string]{func(string, retrypolicy.Attempt) error { started++; return validation.ErrRefused }},
	})
	started = 0
	_, err = say.With(activity.CallOptions{NumRetries: &retries}).Inline(&bot{}).Call(t.Context(), "x")
	require.ErrorContains(t, err, "no valid result in")
	assert.Equal(t, 5, started)
	started = 0
	_, err = say.Inline(&bot{}).Call(t.Context(), "x")
	require.ErrorContains(t, err, "no valid result in")
	assert.Equal(t, 2, started, "the handle itself has not changed")
}

func TestBadOptionsOfOneCallAreItsError(t *testing.T) {
	t.Parallel()
	started := 0
	f := activity.Func("F", func(context.Context, int) (int, error) { started++; return 0, nil })
	retries := -1
	bad := f.With(activity.CallOptions{NumRetries: &retries}).Inline()
	const want = "F: Retry.NumRetries -1: must be from 0 (no retries) to 1000000"
	_, err := bad.Call(t.Context(), 1)
	require.EqualError(t, err, want)
	_, err = bad.WithClock(testsuite.NewClock().Clock()).Call(t.Context(), 1)
	require.EqualError(t, err, want)
	_, err = bad.Map(t.Context(), []int{1, 2})
	require.ErrorContains(t, err, want)
	assert.Zero(t, started)
}

// One body panics, and one ends in an error: both are attempts of the same call.
func TestPanicOfAFirstAttemptIsRetried(t *testing.T) {
	t.Parallel()
	for name, ctx := range map[string]context.Context{"without end": context.Background(), "with end": t.Context()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			started := 0
			f := activity.Func("F", func(ctx context.Context, _ int) (int, error) {
				switch started++; started {
				case 1:
					panic("out of cheese")
				case 2:
					return 0, io.EOF
				}
				return activity.AttemptNumber(ctx), nil
			}, activity.FuncOptions[int, int]{Retry: retrypolicy.Policy{NumRetries: 3, Wait: retrypolicy.NoWait}})
			out, err := f.Inline().Call(ctx, 1)
			require.NoError(t, err)
			assert.Equal(t, 3, out)
			assert.Equal(t, 3, started)
		})
	}
}

// A panic that is nobody's body's is not taken for one.
func TestPanicOutsideABodyIsNotAnAttempt(t *testing.T) {
	t.Parallel()
	started := 0
	f := activity.Func("F", func(context.Context, int) (int, error) { started++; return 0, io.EOF },
		activity.FuncOptions[int, int]{Retry: retrypolicy.Policy{NumRetries: 3, Wait: time.Second}})
	clock := &activity.Clock{Now: time.Now, Sleep: func(time.Duration, ...<-chan struct{}) bool { panic("the clock broke") }}
	assert.PanicsWithValue(t, "the clock broke", func() { _, _ = f.Inline().WithClock(clock).Call(context.Background(), 1) })
	assert.Equal(t, 1, started)
}

// Every option of a definition and of its methods is one of functions, but for
// those that replace others.
func TestFunctionsHaveEveryOption(t *testing.T) {
	t.Parallel()
	all := reflect.TypeFor[activity.FuncOptions[int, int]]()
	for _, of := range []reflect.Type{reflect.TypeFor[activity.Options](), reflect.TypeFor[activity.MethodOptions[int, int]]()} {
		for f := range of.Fields() {
			if f.Name == "ActivityType" || f.Type == reflect.TypeFor[*retrypolicy.Policy]() {
				continue
			}
			same, ok := all.FieldByName(f.Name)
			assert.True(t, ok && same.Type == f.Type, "%v.%s", of, f.Name)
		}
	}
}

func TestAdaptersForFunctions(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ping := activity.Func("Ping", activity.NoInputFunc(func(context.Context) (string, error) { return "pong", nil })).Inline()
	out, err := ping.Call(ctx, activity.None{})
	require.NoError(t, err)
	assert.Equal(t, "pong", out)

	var told string
	tell := activity.Func("Tell", activity.NoOutputFunc(func(_ context.Context, s string) error { told = s; return nil })).Inline()
	_, err = tell.Call(ctx, "news")
	require.NoError(t, err)
	assert.Equal(t, "news", told)

	stop := activity.Func("Stop", activity.ErrorOnlyFunc(func(context.Context) error { return io.EOF })).Inline()
	_, err = stop.Call(ctx, activity.None{})
	require.ErrorIs(t, err, io.EOF)

	repeat := activity.Func("Repeat", activity.TwoFunc(func(_ context.Context, s string, n int) ([]any, error) { return []any{s, n}, nil })).Inline()
	both, err := repeat.Call(ctx, activity.Args2[string, int]{A: "x", B: 2})
	require.NoError(t, err)
	assert.Equal(t, []any{"x", 2}, both)

	mix := activity.Func("Mix", activity.ThreeFunc(func(_ context.Context, a, b, c int) (int, error) { return 100*a + 10*b + c, nil })).Inline()
	sum, err := mix.Call(ctx, activity.Args3[int, int, int]{A: 1, B: 2, C: 3})
	require.NoError(t, err)
	assert.Equal(t, 123, sum)
}

// double is a program that does not care where a method runs.
func double(ctx context.Context, add activity.Caller[int, int], n int) (int, error) {
	half, err := add.Call(ctx, n)
	return 2 * half, err
}

func TestWhatMethodsUseOfTemporalsIsThereInProcess(t *testing.T) {
	t.Parallel()
	use := activity.Func("Use", func(ctx context.Context, _ int) (bool, error) {
		activity.GetLogger(ctx).Debug("here")
		activity.GetMetricsHandler(ctx).Counter("bodies").Inc(1)
		activity.RecordHeartbeat(ctx, 1)
		return activity.GetClient(ctx) == nil && activity.GetWorkerStopChannel(ctx) == nil && !activity.HasHeartbeatDetails(ctx), nil
	})
	out, err := use.Inline().Call(t.Context(), 1)
	require.NoError(t, err)
	assert.True(t, out)
}

func TestInlineIsACaller(t *testing.T) {
	t.Parallel()
	next := activity.Func("Next", func(_ context.Context, n int) (int, error) { return n + 1, nil })
	out, err := double(t.Context(), next.Inline(), 20)
	require.NoError(t, err)
	assert.Equal(t, 42, out)
}
