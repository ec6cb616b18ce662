package onserver_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/worker"
)

// What a method sees of a call is that of its own call, not of the one around it.
func TestCallInsideACallSeesItsOwn(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]retrypolicy.Policy{"without a policy": {}, "with one": {NumRetries: 1, Wait: time.Microsecond}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Each(t, func(t *testing.T, e Engine) {
				var seen []string
				inner := activity.Func("Inner", func(ctx context.Context, _ int) (string, error) {
					_, _, refused := activity.LastRefusal[string](ctx)
					_, err := activity.Ticket(ctx)
					seen = append(seen, fmt.Sprintf("attempt %d, %d earlier, refused %t, ticket %t", activity.AttemptNumber(ctx), len(activity.Previous(ctx)), refused, err == nil))
					if policy.NumRetries > 0 && activity.AttemptNumber(ctx) == 1 {
						return "", errors.New("not yet")
					}
					return "good", nil
				}, activity.FuncOptions[int, string]{Retry: policy})
				outer := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
					if n < 3 {
						return "bad", nil
					}
					return inner.Inline().Call(ctx, n)
				}}
				d, do := Define(t, e, retrypolicy.Policy{NumRetries: 2}, func(s string, _ retrypolicy.Attempt) error {
					if s == "bad" {
						return errors.New("bad")
					}
					return nil
				})
				out, err := Run(t, e, d, do, outer, "")
				require.NoError(t, err)
				assert.Equal(t, "good", out)
				want := []string{"attempt 1, 0 earlier, refused false, ticket false"}
				if policy.NumRetries > 0 {
					want = append(want, "attempt 2, 1 earlier, refused false, ticket false")
				}
				assert.Equal(t, want, seen)
			})
		})
	}
}

// Marks are for the call whose method sets them, and so are a call's ends.
func TestEndOfACallInsideACallIsAnErrorLikeAnyOther(t *testing.T) {
	t.Parallel()
	ends := map[string]func() error{
		"permanent":         func() error { return retrypolicy.Permanent(errors.New("declined")) },
		"after an hour":     func() error { return retrypolicy.After(errors.New("busy"), time.Hour) },
		"permanent, around": func() error { return fmt.Errorf("x: %w", retrypolicy.Permanent(errors.New("declined"))) },
	}
	for name, end := range ends {
		for policyName, policy := range map[string]retrypolicy.Policy{"without a policy": {}, "with one": {NumRetries: 1, Wait: time.Microsecond, RetryOn: []retrypolicy.Filter{retrypolicy.If(func(error, retrypolicy.Attempt) bool { return false })}}} {
			t.Run(name+"/"+policyName, func(t *testing.T) {
				t.Parallel()
				Each(t, func(t *testing.T, e Engine) {
					inner := activity.Func("Inner", func(context.Context, int) (int, error) { return 0, end() },
						activity.FuncOptions[int, int]{Retry: policy})
					outer := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
						_, err := inner.Inline().Call(ctx, n)
						return "", fmt.Errorf("inner: %w", err)
					}}
					d, do := Define(t, e, retrypolicy.Policy{NumRetries: 2})
					_, err := Run(t, e, d, do, outer, "")
					require.ErrorContains(t, err, "inner: ")
					assert.EqualValues(t, 3, outer.Started.Load(), "%v", err)
					stop, _ := retrypolicy.StopOf(err)
					assert.Equal(t, retrypolicy.StopSpent, stop.Stop)
				})
			})
		}
	}
}

// A submitted call ends with an error that its server must not retry. Whoever
// submitted it may.
func TestEndOfASubmittedCallInsideACallIsRetried(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	inner := activity.Func("Inner", func(context.Context, int) (int, error) { return 0, errors.New("declined") },
		activity.FuncOptions[int, int]{Retry: retrypolicy.Policy{NumRetries: 1, Wait: time.Millisecond}, CallTimeout: Timeout, TaskQueue: queue})
	outer := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
		call, err := inner.Submit(ctx, activity.GetClient(ctx), n)
		if err != nil {
			return "", err
		}
		_, err = call.Get(ctx)
		return "", fmt.Errorf("inner: %w", err)
	}}
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 2, Wait: time.Millisecond}, TaskQueue: queue})
	Start(t, c, queue, func(w *worker.Worker) {
		worker.Register(w, d, outer)
		worker.RegisterFunc(w, inner)
	})
	_, err := Submit(t, c, do, queue, "").Get(t.Context())
	require.ErrorContains(t, err, "inner: declined")
	assert.EqualValues(t, 3, outer.Started.Load())
	stop, _ := retrypolicy.StopOf(err)
	assert.Equal(t, retrypolicy.StopSpent, stop.Stop)
}
