package limits_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/limits"
)

// noTime is the error of a request that has no time to wait.
func noTime(t *testing.T, l limits.Limiter, units limits.Units) *limits.WaitError {
	t.Helper()
	_, err := l.Acquire(left(t), units)
	wait, ok := errors.AsType[*limits.WaitError](err)
	require.True(t, ok, "%v", err)
	return wait
}

func TestRetryAfterIsWhenTheRateHasRoomAndNotANanosecondBefore(t *testing.T) {
	t.Parallel()
	for _, a := range []limits.Algorithm{limits.AlgorithmSlidingWindow, limits.AlgorithmFixedWindow, limits.AlgorithmTokenBucket, limits.AlgorithmGCRA, limits.AlgorithmLeakyBucket} {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(7, 7))
			for range 20 {
				now := time.Unix(0, 0)
				clock := limits.Clock{Now: func() time.Time { return now }}
				most := 1 + random.IntN(20)
				set, err := limits.NewWithClock(clock, limits.Rate("r", float64(most), time.Duration(1+random.Int64N(1e10))).By(a), limits.Calls(1e9, time.Second))
				require.NoError(t, err)
				waited := 0
				for range 100 {
					units := limits.Units{"r": 1 + random.IntN(most)}
					if lease, err := set.TryAcquire(units); err == nil {
						if random.IntN(8) == 0 { // more was used than acquired
							require.NoError(t, lease.Use(limits.Units{"r": units["r"] + random.IntN(2*most)}))
						}
						now = now.Add(time.Duration(random.Int64N(1e8)))
						continue
					}
					waited++
					wait := noTime(t, set, units)
					require.Equal(t, []string{"r"}, wait.Names)
					require.Positive(t, wait.RetryAfter)
					now = now.Add(wait.RetryAfter - 1)
					_, err := set.TryAcquire(units)
					require.ErrorIs(t, err, limits.ErrNoRoom)
					require.EqualValues(t, 1, noTime(t, set, units).RetryAfter)
					now = now.Add(1)
					require.Zero(t, noTime(t, set, units).RetryAfter)
					_, err = set.TryAcquire(units)
					require.NoError(t, err)
				}
				require.Positive(t, waited)
			}
		})
	}
}

func TestRetryAfterSpeaksOfRatesAlone(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	clock := limits.Clock{Now: func() time.Time { return now }}
	set, err := limits.NewWithClock(clock, limits.Resource("c", 1), limits.Rate("minute", 1, time.Minute), limits.Rate("hour", 1, time.Hour))
	require.NoError(t, err)
	lease, err := set.TryAcquire(limits.Units{"c": 1, "minute": 1, "hour": 1})
	require.NoError(t, err)
	for _, test := range []struct {
		units limits.Units
		keys  []string
		after time.Duration
	}{
		{limits.Units{"c": 1}, []string{"c"}, 0},
		{limits.Units{"c": 1, "minute": 1}, []string{"c", "minute"}, time.Minute},
		{limits.Units{"minute": 1, "hour": 1}, []string{"minute", "hour"}, time.Hour},
	} {
		wait := noTime(t, set, test.units)
		assert.Equal(t, test.keys, wait.Names)
		assert.Equal(t, test.after, wait.RetryAfter, "%v", test.units)
	}
	lease.Release()
	assert.Equal(t, time.Minute, noTime(t, set, limits.Units{"c": 1, "minute": 1}).RetryAfter, "what was taken of rates stays taken")
}

func TestRetryAfterOfAPoolIsThatOfTheFirstMemberWithRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		member := func(window time.Duration) limits.Member {
			set := limits.MustNew(limits.Rate("r", 1, window))
			_, err := set.TryAcquire(limits.Units{"r": 1})
			require.NoError(t, err)
			return limits.Member{Set: set}
		}
		pool, err := limits.NewPool(member(time.Hour), member(time.Minute), member(2*time.Hour))
		require.NoError(t, err)
		assert.Equal(t, time.Minute, noTime(t, pool, limits.Units{"r": 1}).RetryAfter, "without a wait")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err = pool.Acquire(ctx, limits.Units{"r": 1})
		wait, ok := errors.AsType[*limits.WaitError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, 50*time.Second, wait.RetryAfter, "after one")
	})
}

func TestRetryAfterOfAWaitThatEndsIsWhatIsLeftOfIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		set := limits.MustNew(limits.Rate("r", 1, time.Minute))
		_, err := set.TryAcquire(limits.Units{"r": 1})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err = set.Acquire(ctx, limits.Units{"r": 1})
		wait, ok := errors.AsType[*limits.WaitError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, 50*time.Second, wait.RetryAfter)
	})
}
