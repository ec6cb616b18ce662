package testsuite_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
)

func TestClockIsMovedByHandAndByWaits(t *testing.T) {
	t.Parallel()
	clock := testsuite.NewClock()
	clock.SetRandom(func(n int64) int64 { return n - 1 }) // the whole wait
	begin := clock.Now()
	slow := activity.Func("Slow", func(context.Context, int) (int, error) {
		clock.Advance(time.Minute)
		return 0, errors.New("not yet")
	}, activity.FuncOptions[int, int]{Retry: retrypolicy.Policy{NumRetries: 2, Wait: time.Second, MaxElapsed: time.Hour}})
	_, err := slow.Inline().WithClock(clock.Clock()).Call(t.Context(), 1)
	require.Error(t, err)
	assert.Equal(t, []time.Duration{time.Second, 2 * time.Second}, clock.Slept())
	assert.Equal(t, 3*time.Minute+3*time.Second, clock.Now().Sub(begin))
}

func TestClockServesSets(t *testing.T) {
	t.Parallel()
	clock := testsuite.NewClock()
	set, err := limits.NewWithClock(clock.Limits(), limits.Rate("requests", 1, time.Hour))
	require.NoError(t, err)
	begin := clock.Now()
	for range 3 {
		lease, err := set.Acquire(t.Context(), limits.Units{"requests": 1})
		require.NoError(t, err)
		lease.Release()
	}
	assert.Equal(t, 2*time.Hour, clock.Now().Sub(begin))
}

func TestStockServerHasTheServersOwnTiming(t *testing.T) {
	t.Parallel()
	stock := testsuite.StockServer(t)
	assert.NotEqual(t, testsuite.Server(t).HostPort(), stock.HostPort())
	assert.Same(t, stock, testsuite.StockServer(t), "one for all tests")
}
