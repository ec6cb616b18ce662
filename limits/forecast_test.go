package limits_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/internal/limitengine"
	"github.com/concurry-go/concurry/limits"
)

func TestForecastIsWhenALineIsServed(t *testing.T) {
	t.Parallel()
	for _, a := range []limits.Algorithm{limits.AlgorithmSlidingWindow, limits.AlgorithmFixedWindow, limits.AlgorithmTokenBucket, limits.AlgorithmGCRA, limits.AlgorithmLeakyBucket} {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(9, 9))
			for range 20 {
				begin := time.Unix(0, 0)
				now := begin
				clock := limits.Clock{Now: func() time.Time { return now }}
				most := 1 + random.IntN(20)
				set, err := limits.NewWithClock(clock, limits.Rate("r", float64(most), time.Duration(1+random.Int64N(1e10))).By(a), limits.Calls(7, time.Second))
				require.NoError(t, err)
				for range random.IntN(10) {
					now = now.Add(time.Duration(random.Int64N(1e9)))
					_, _ = set.TryAcquire(limits.Units{"r": 1 + random.IntN(most)})
				}
				begin = now
				var line []limitengine.Request
				var in []time.Duration
				for range 30 {
					line = append(line, limitengine.Request{Units: map[string]int{"r": 1 + random.IntN(most)}, Charge: limitengine.Charge(random.IntN(2))})
					in = append(in, engineOf(set).Forecast(line))
				}
				for i, r := range line {
					if i == 0 && in[i] > 0 || i > 0 && in[i] > in[i-1] {
						now = begin.Add(in[i] - 1)
						_, err := engineOf(set).TryAcquire(r.Units, r.Charge)
						require.ErrorIs(t, err, limits.ErrNoRoom, "%d", i)
					}
					now = begin.Add(in[i])
					_, err := engineOf(set).TryAcquire(r.Units, r.Charge)
					require.NoError(t, err, "%d", i)
				}
			}
		})
	}
}

func TestForecastOfKeysAndPools(t *testing.T) {
	t.Parallel()
	one := limitengine.Request{Units: map[string]int{"r": 1}}
	hour, minute := limits.MustNew(limits.Rate("r", 1, time.Hour)), limits.MustNew(limits.Rate("r", 2, time.Minute).By(limits.AlgorithmFixedWindow))
	pool, err := limits.NewPool(limits.Member{Set: hour}, limits.Member{Set: minute})
	require.NoError(t, err)
	keyed := limits.MustNewKeyed(limits.Rate("r", 1, time.Minute), limits.Resource("c", 1))
	_, err = keyed.For("a").TryAcquire(limits.Units{"r": 1, "c": 1})
	require.NoError(t, err)
	never := limitengine.Request{Units: map[string]int{"r": 3}}
	for _, test := range []struct {
		limiter limits.Limiter
		line    []limitengine.Request
		want    time.Duration
	}{
		{pool, []limitengine.Request{one, one, one}, 0},
		{pool, []limitengine.Request{one, one, one, one, one}, time.Minute},
		{pool, []limitengine.Request{never, one, one, one, one}, time.Minute},
		{keyed.For("b"), []limitengine.Request{one}, 0},
		{keyed.For("a"), []limitengine.Request{one, one}, 2 * time.Minute},
	} {
		assert.InDelta(t, test.want, engineOf(test.limiter).Forecast(test.line), float64(30*time.Second), "%v", test.line)
	}
	assert.Zero(t, minute.Snapshot().Limits[0].InUse, "nothing is taken")
	assert.Equal(t, 1, keyed.Len(), "and no key stays")
}
