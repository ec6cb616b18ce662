package retry_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/internal/policytest"
	"github.com/concurry-go/concurry/internal/retry"
	"github.com/concurry-go/concurry/retrypolicy"
)

func TestTemporalPolicyOfTheDefaults(t *testing.T) {
	t.Parallel()
	p := retrypolicy.Policy{NumRetries: 3}
	got := retry.Temporal(&p)
	assert.EqualValues(t, 4, got.MaximumAttempts, "NumRetries+1, where no engine counts")
	assert.Equal(t, time.Second, got.InitialInterval)
	assert.InDelta(t, 2, got.BackoffCoefficient, 0)
	assert.Equal(t, 8*time.Second, got.MaximumInterval)
	assert.Empty(t, got.NonRetryableErrorTypes)
}

func TestTemporalPolicyFollowsTheAlgorithmsCurve(t *testing.T) {
	t.Parallel()
	custom := retrypolicy.BackoffFunc(func(w time.Duration, n int) time.Duration { return w / time.Duration(n) })
	for _, tc := range []struct {
		backoff     retrypolicy.Backoff
		coefficient float64
		most        time.Duration
	}{
		{nil, 2, 16 * time.Second},
		{retrypolicy.Exponential, 2, 16 * time.Second},
		{retrypolicy.Linear, 1.5, 5 * time.Second},
		{retrypolicy.Fibonacci, 1.6, 5 * time.Second},
		{retrypolicy.Constant, 1, time.Second},
		{custom, 2, time.Second}, // never below the first interval, which the server would refuse
	} {
		p := retrypolicy.Policy{NumRetries: 4, Backoff: tc.backoff}
		got := retry.Temporal(&p)
		assert.InDelta(t, tc.coefficient, got.BackoffCoefficient, 0, "%v", tc.backoff)
		assert.Equal(t, time.Second, got.InitialInterval)
		assert.Equal(t, tc.most, got.MaximumInterval)
	}
}

func TestBackstopIsFarBeyondTheBudget(t *testing.T) {
	t.Parallel()
	for retries, want := range map[int]int32{0: 12, 1: 14, 5: 22, retrypolicy.MaxRetries: 2_000_012} {
		p := retrypolicy.Policy{NumRetries: retries}
		assert.Equal(t, want, retry.Backstop(&p).MaximumAttempts)
	}
}

// What the server refuses: an interval of 0, a coefficient below 1, a maximum
// below the first.
func TestTemporalPoliciesAreSuchAsTheServerAccepts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := policytest.Draw(t)
		policy, backstop := retry.Temporal(&p), retry.Backstop(&p)
		require.EqualValues(t, p.NumRetries+1, policy.MaximumAttempts)
		require.EqualValues(t, 2*(p.NumRetries+1)+10, backstop.MaximumAttempts)
		require.GreaterOrEqual(t, policy.InitialInterval, time.Millisecond)
		require.GreaterOrEqual(t, policy.BackoffCoefficient, 1.0)
		require.GreaterOrEqual(t, policy.MaximumInterval, policy.InitialInterval)
		backstop.MaximumAttempts = policy.MaximumAttempts
		require.Equal(t, policy, backstop, "they differ in nothing else")
	})
}

func TestStartToCloseIsTwoAttemptsOneWaitAndFiveSeconds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name                string
		inPlace             time.Duration
		attempt, call, want time.Duration
	}{
		{"default wait in place", 0, 20 * time.Second, 0, 46 * time.Second},
		{"wait in place", 10 * time.Second, 20 * time.Second, 0, 55 * time.Second},
		{"every wait on the server", -1, 20 * time.Second, 0, 45 * time.Second},
		{"capped by the call's", 0, 20 * time.Second, 30 * time.Second, 30 * time.Second},
		{"not stretched to the call's", 0, 20 * time.Second, time.Hour, 46 * time.Second},
		{"no timeout of the attempt: the call's", 0, 0, time.Hour, time.Hour},
		{"no timeout at all", 0, 0, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, retries := range []int{0, 1, 1000} {
				p := retrypolicy.Policy{NumRetries: retries, InPlace: tc.inPlace}
				assert.Equal(t, tc.want, retry.StartToClose(&p, tc.attempt, tc.call), "%d retries", retries)
			}
		})
	}
}

func TestStartToCloseDoesNotOverflow(t *testing.T) {
	t.Parallel()
	p := retrypolicy.Policy{InPlace: math.MaxInt64}
	assert.Equal(t, 3*retrypolicy.MaxDuration+5*time.Second, retry.StartToClose(&p, retrypolicy.MaxDuration, 0))
}
