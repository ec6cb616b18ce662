package onserver_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

func TestBodiesStartedAreNumRetriesPlusOne(t *testing.T) {
	t.Parallel()
	for _, retries := range []int{0, 1, 5} {
		t.Run(fmt.Sprintf("errors/%d", retries), func(t *testing.T) {
			t.Parallel()
			Each(t, func(t *testing.T, e Engine) {
				impl := &Scripted{Body: func(_ context.Context, n int, _ string) (string, error) {
					return "", fmt.Errorf("failure %d", n)
				}}
				d, do := Define(t, e, retrypolicy.Policy{NumRetries: retries})
				_, err := Run(t, e, d, do, impl, "x")
				require.ErrorContains(t, err, fmt.Sprintf("failure %d", retries+1))
				assert.EqualValues(t, retries+1, impl.Started.Load())
			})
		})
		t.Run(fmt.Sprintf("refusals/%d", retries), func(t *testing.T) {
			t.Parallel()
			Each(t, func(t *testing.T, e Engine) {
				impl := &Scripted{Body: func(_ context.Context, n int, in string) (string, error) {
					return fmt.Sprintf("%s%d", in, n), nil
				}}
				d, do := Define(t, e, retrypolicy.Policy{NumRetries: retries}, func(s string, a retrypolicy.Attempt) error {
					return fmt.Errorf("%s is bad in attempt %d", s, a.Number)
				})
				_, err := Run(t, e, d, do, impl, "r")
				assert.EqualValues(t, retries+1, impl.Started.Load())
				var rve *validation.RetryValidationError
				require.True(t, validation.As(err, &rve), "%v", err)
				assert.Equal(t, "Scripted.Do", rve.MethodName)
				assert.Equal(t, retries+1, rve.Attempts)
				all, err := validation.Results[string](rve)
				require.NoError(t, err)
				var want, reasons []string
				for n := 1; n <= retries+1; n++ {
					want = append(want, fmt.Sprintf("r%d", n))
					reasons = append(reasons, fmt.Sprintf("r%d is bad in attempt %d", n, n))
				}
				assert.Equal(t, want, all)
				assert.Equal(t, reasons, rve.ValidationErrors)
			})
		})
	}
}

func TestSuccessAfterFailuresStopsRetrying(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		impl := &Scripted{Body: func(_ context.Context, n int, in string) (string, error) {
			if n < 3 {
				return "", errors.New("not yet")
			}
			return in + "!", nil
		}}
		d, do := Define(t, e, retrypolicy.Policy{NumRetries: 5})
		out, err := Run(t, e, d, do, impl, "hello")
		require.NoError(t, err)
		assert.Equal(t, "hello!", out)
		assert.EqualValues(t, 3, impl.Started.Load())
	})
}

func TestAttemptIsTheNumberOfTheBody(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, e Engine) {
		var numbers []int
		impl := &Scripted{Body: func(ctx context.Context, n int, _ string) (string, error) {
			numbers = append(numbers, activity.AttemptNumber(ctx))
			if n < 4 {
				return "", errors.New("not yet")
			}
			return "done", nil
		}}
		d, do := Define(t, e, retrypolicy.Policy{NumRetries: 5})
		_, err := Run(t, e, d, do, impl, "x")
		require.NoError(t, err)
		assert.Equal(t, []int{1, 2, 3, 4}, numbers)
	})
	assert.Equal(t, 1, activity.AttemptNumber(t.Context()))
}
