package retrypolicy_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/concurry-go/concurry/internal/policytest"
	"github.com/concurry-go/concurry/retrypolicy"
)

func TestFullJitterIsTheDefault(t *testing.T) {
	t.Parallel()
	var p retrypolicy.Policy
	assert.Equal(t, retrypolicy.FullJitter, p.Jitter)
	assert.Equal(t, time.Duration(1), p.Delay(1, lowest), "never 0, which Temporal takes for unset")
	assert.Equal(t, time.Second, p.Delay(1, highest), "the ceiling is included")
}

func TestJitterBounds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		jitter      retrypolicy.Jitter
		least, most time.Duration
	}{
		{retrypolicy.FullJitter, 1, time.Second},
		{retrypolicy.NoJitter, time.Second, time.Second},
		{retrypolicy.EqualJitter, time.Second/2 + 1, time.Second},
		{retrypolicy.Proportional(0.5), time.Second/2 + 1, 3 * time.Second / 2},
		{retrypolicy.Proportional(1), 1, 2 * time.Second},
	} {
		t.Run(tc.jitter.String(), func(t *testing.T) {
			t.Parallel()
			p := retrypolicy.Policy{Wait: time.Second, Jitter: tc.jitter}
			assert.Equal(t, tc.least, p.Delay(1, lowest))
			assert.Equal(t, tc.most, p.Delay(1, highest))
		})
	}
}

func TestProportionalJitterIsCappedByMaxWait(t *testing.T) {
	t.Parallel()
	p := retrypolicy.Policy{Wait: 10 * time.Second, MaxWait: 10 * time.Second, Jitter: retrypolicy.Proportional(0.5)}
	assert.Equal(t, 5*time.Second+1, p.Delay(1, lowest))
	assert.Equal(t, 10*time.Second, p.Delay(1, highest))
}

func TestNoWaitHasNoJitter(t *testing.T) {
	t.Parallel()
	p := retrypolicy.Policy{Wait: retrypolicy.NoWait}
	assert.Zero(t, p.Delay(3, func(int64) int64 { t.Error("asked"); return 0 }))
}

func TestDelayStaysWithinWhatItsJitterPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := policytest.Draw(t)
		n := drawAttempt(t, "n")
		ceiling, delay := p.Ceiling(n), p.Delay(n, drawSource(t))
		if ceiling == 0 {
			require.Zero(t, delay)
			return
		}
		require.Positive(t, delay)
		switch p.Jitter {
		case retrypolicy.NoJitter:
			require.Equal(t, ceiling, delay)
		case retrypolicy.FullJitter:
			require.LessOrEqual(t, delay, ceiling)
		case retrypolicy.EqualJitter:
			require.Greater(t, delay, ceiling/2)
			require.LessOrEqual(t, delay, ceiling)
		default: // proportional
			require.LessOrEqual(t, delay.Seconds(), 2*ceiling.Seconds())
			if p.MaxWait > 0 {
				require.LessOrEqual(t, delay, p.MaxWait)
			}
			require.LessOrEqual(t, delay, retrypolicy.MaxDuration)
		}
	})
}

func TestProportionalStaysWithinItsProportion(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		proportion := rapid.Float64Range(0.001, 1).Draw(t, "proportion")
		wait := time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(time.Hour)).Draw(t, "wait"))
		p := retrypolicy.Policy{Wait: wait, Jitter: retrypolicy.Proportional(proportion)}
		delay := p.Delay(1, drawSource(t))
		slack := 2 + float64(wait)*proportion*1e-6 // a proportion is kept as float32
		require.GreaterOrEqual(t, float64(delay), float64(wait)*(1-proportion)-slack)
		require.LessOrEqual(t, float64(delay), float64(wait)*(1+proportion)+slack)
	})
}

// Kolmogorov–Smirnov: the largest distance between the samples' distribution
// and the uniform one stays below 1.95/√n, which a true uniform exceeds once
// in a thousand seeds.
func TestFullJitterIsUniform(t *testing.T) {
	t.Parallel()
	const samples = 200_000
	p := retrypolicy.Policy{Wait: 8 * time.Second}
	source := rand.New(rand.NewPCG(1, 2))
	fractions, sum := make([]float64, samples), 0.0
	for i := range fractions {
		d := p.Delay(2, source.Int64N)
		require.Positive(t, d)
		require.LessOrEqual(t, d, 16*time.Second)
		fractions[i] = d.Seconds() / 16
		sum += fractions[i]
	}
	slices.Sort(fractions)
	distance := 0.0
	for i, f := range fractions {
		distance = max(distance, math.Abs(f-float64(i)/samples), math.Abs(f-float64(i+1)/samples))
	}
	assert.Less(t, distance, 1.95/math.Sqrt(samples))
	// The mean's standard error is 1/√(12n); five of them.
	assert.InDelta(t, 0.5, sum/samples, 5/math.Sqrt(12*samples))
}

func TestJitterNames(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "full", retrypolicy.FullJitter.String())
	assert.Equal(t, "none", retrypolicy.NoJitter.String())
	assert.Equal(t, "equal", retrypolicy.EqualJitter.String())
	assert.Equal(t, "proportional(0.1)", retrypolicy.Proportional(0.1).String())
}

func TestJittersOfTheSameProportionAreEqual(t *testing.T) {
	t.Parallel()
	assert.Equal(t, retrypolicy.Proportional(0.25), retrypolicy.Proportional(0.25))
	assert.NotEqual(t, retrypolicy.Proportional(0.25), retrypolicy.Proportional(0.5))
}

func lowest(int64) int64    { return 0 }
func highest(n int64) int64 { return n - 1 }

func TestJitterTravelsAsTextAndIsReadFromTheNumbersOfOldDocuments(t *testing.T) {
	t.Parallel()
	for want, texts := range map[retrypolicy.Jitter][]string{
		retrypolicy.FullJitter:        {`"full"`, "0"},
		retrypolicy.NoJitter:          {`"none"`, "1"},
		retrypolicy.EqualJitter:       {`"equal"`, "2"},
		retrypolicy.Proportional(0.1): {`"proportional(0.1)"`, "4453159312402939907"},
	} {
		written, err := json.Marshal(want)
		require.NoError(t, err)
		assert.Equal(t, texts[0], string(written))
		for _, text := range texts {
			var got retrypolicy.Jitter
			require.NoError(t, json.Unmarshal([]byte(text), &got), text)
			assert.Equal(t, want, got, text)
		}
	}
	for _, bad := range []string{`"some"`, `"proportional(2)"`, `"proportional(0)"`, `"proportional(x)"`, `"proportional(0.5"`, `0.3`, `-1`, `{}`} {
		var got retrypolicy.Jitter
		require.Error(t, json.Unmarshal([]byte(bad), &got), bad)
	}
	rapid.Check(t, func(t *rapid.T) {
		j := retrypolicy.Proportional(rapid.Float64Range(0.001, 1).Draw(t, "proportion"))
		text, err := j.MarshalText()
		require.NoError(t, err)
		var got retrypolicy.Jitter
		require.NoError(t, got.UnmarshalText(text))
		require.Equal(t, j, got)
	})
}
