package retrypolicy_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/internal/policytest"
	"github.com/concurry-go/concurry/retrypolicy"
)

// The first five rows of the specification's tables. Its exponential table is
// doubled; the formula beside it, base·2^(n-1), is the one that holds.
func TestCeilingsAreThoseOfTheSpecificationsTables(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		backoff retrypolicy.Backoff
		wait    time.Duration
		seconds []float64
	}{
		{nil, time.Second, []float64{1, 2, 4, 8, 16}},
		{retrypolicy.Exponential, time.Second, []float64{1, 2, 4, 8, 16}},
		{retrypolicy.Linear, 2 * time.Second, []float64{2, 4, 6, 8, 10}},
		{retrypolicy.Fibonacci, time.Second, []float64{1, 1, 2, 3, 5, 8, 13, 21, 34, 55}},
		{retrypolicy.Constant, 1500 * time.Millisecond, []float64{1.5, 1.5, 1.5, 1.5, 1.5}},
		{retrypolicy.Exponential, 0, []float64{1, 2, 4}}, // 0 is the default, a second
		{retrypolicy.Exponential, retrypolicy.NoWait, []float64{0, 0, 0}},
		{retrypolicy.Linear, time.Nanosecond, []float64{1e-9, 2e-9, 3e-9}},
	} {
		t.Run(fmt.Sprintf("%v/%v", tc.backoff, tc.wait), func(t *testing.T) {
			t.Parallel()
			p := retrypolicy.Policy{Backoff: tc.backoff, Wait: tc.wait}
			for i, want := range tc.seconds {
				assert.InDelta(t, want, p.Ceiling(i+1).Seconds(), 1e-12, "after attempt %d", i+1)
			}
		})
	}
}

func TestAttemptNumbersBelowOneCountAsOne(t *testing.T) {
	t.Parallel()
	for _, b := range policytest.Algorithms() {
		p := retrypolicy.Policy{Backoff: b}
		for _, n := range []int{0, -1, math.MinInt} {
			assert.Equal(t, p.Ceiling(1), p.Ceiling(n), "%v, attempt %d", b, n)
			assert.Equal(t, p.Ceiling(1), b.Ceiling(time.Second, n), "%v, attempt %d", b, n)
		}
	}
}

func TestMaxWaitCapsEveryCeiling(t *testing.T) {
	t.Parallel()
	p := retrypolicy.Policy{Wait: time.Second, MaxWait: 5 * time.Second}
	assert.Equal(t, 4*time.Second, p.Ceiling(3))
	assert.Equal(t, 5*time.Second, p.Ceiling(4))
	assert.Equal(t, 5*time.Second, p.Ceiling(1_000_000))
	p.Wait = time.Minute
	assert.Equal(t, 5*time.Second, p.Ceiling(1), "a base wait above MaxWait")
}

func TestCustomBackoffIsAskedWithTheBaseWaitAndTheAttempt(t *testing.T) {
	t.Parallel()
	p := retrypolicy.Policy{
		Wait: 3 * time.Second, MaxWait: time.Hour,
		Backoff: retrypolicy.BackoffFunc(func(wait time.Duration, n int) time.Duration { return wait * time.Duration(n*n) }),
	}
	assert.Equal(t, 3*time.Second, p.Ceiling(1))
	assert.Equal(t, 27*time.Second, p.Ceiling(3))
	assert.Equal(t, time.Hour, p.Ceiling(1000))
}

func TestCustomBackoffIsCutToItsBounds(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]time.Duration{"negative": -time.Second, "lowest": math.MinInt64} {
		p := retrypolicy.Policy{Backoff: retrypolicy.BackoffFunc(func(time.Duration, int) time.Duration { return value })}
		assert.Zero(t, p.Ceiling(1), name)
	}
	p := retrypolicy.Policy{Backoff: retrypolicy.BackoffFunc(func(time.Duration, int) time.Duration { return math.MaxInt64 })}
	assert.Equal(t, retrypolicy.MaxDuration, p.Ceiling(1))
}

func TestCustomBackoffThatPanicsWaitsMaxWait(t *testing.T) {
	t.Parallel()
	p := retrypolicy.Policy{
		MaxWait: 7 * time.Second,
		Backoff: retrypolicy.BackoffFunc(func(time.Duration, int) time.Duration { panic("backoff") }),
	}
	assert.Equal(t, 7*time.Second, p.Ceiling(1))
	p.MaxWait = 0
	assert.Equal(t, retrypolicy.MaxDuration, p.Ceiling(1))
}

func TestCustomBackoffIsNotAskedWhereThereIsNoWait(t *testing.T) {
	t.Parallel()
	p := retrypolicy.Policy{Wait: retrypolicy.NoWait, Backoff: retrypolicy.BackoffFunc(func(time.Duration, int) time.Duration {
		t.Error("asked")
		return time.Hour
	})}
	assert.Zero(t, p.Ceiling(1))
}

func TestCeilingsStayWithinTheirBoundsAndNeverShrink(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := policytest.Draw(t)
		a, b := drawAttempt(t, "a"), drawAttempt(t, "b")
		most := p.MaxWait
		if most == 0 {
			most = retrypolicy.MaxDuration
		}
		for _, n := range []int{a, b, 1000, math.MaxInt} {
			c := p.Ceiling(n)
			require.GreaterOrEqual(t, c, time.Duration(0), "attempt %d", n)
			require.LessOrEqual(t, c, most, "attempt %d", n)
		}
		if _, custom := p.Backoff.(retrypolicy.BackoffFunc); !custom {
			require.LessOrEqual(t, p.Ceiling(min(a, b)), p.Ceiling(max(a, b)))
		}
	})
}

func TestAlgorithmsSaturateInsteadOfOverflowing(t *testing.T) {
	t.Parallel()
	for _, b := range policytest.Algorithms() {
		for _, wait := range []time.Duration{1, time.Second, retrypolicy.MaxDuration - 1, retrypolicy.MaxDuration} {
			last := time.Duration(0)
			for _, n := range []int{1, 2, 62, 63, 64, 65, 92, 93, 94, 1000, math.MaxInt32, math.MaxInt} {
				c := b.Ceiling(wait, n)
				require.GreaterOrEqual(t, c, last, "%v of %v, attempt %d", b, wait, n)
				require.LessOrEqual(t, c, retrypolicy.MaxDuration, "%v of %v, attempt %d", b, wait, n)
				last = c
			}
			if b != retrypolicy.Constant {
				assert.Equal(t, retrypolicy.MaxDuration, last, "%v of %v", b, wait)
			}
		}
	}
}

func TestParseAlgorithmKnowsItsNames(t *testing.T) {
	t.Parallel()
	for _, b := range policytest.Algorithms() {
		got, err := retrypolicy.ParseAlgorithm(string(b))
		require.NoError(t, err)
		assert.Equal(t, b, got)
	}
	got, err := retrypolicy.ParseAlgorithm("")
	require.NoError(t, err)
	assert.Equal(t, retrypolicy.Exponential, got)
	_, err = retrypolicy.ParseAlgorithm("Exponential")
	require.EqualError(t, err, `retry_algorithm "Exponential": must be "exponential", "linear", "fibonacci" or "constant"`)
}
