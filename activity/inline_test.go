package activity_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/testsuite"
)

func TestCallsOnOneClockShareDeclaredLimits(t *testing.T) {
	t.Parallel()
	declared := limits.PerWorker(limits.Rate("requests", 1, time.Second))
	limited := func(name string) *activity.FuncHandle[int, int] {
		return activity.Func(name, func(_ context.Context, n int) (int, error) { return n, nil }, activity.FuncOptions[int, int]{
			Limits: declared, Requires: limits.Units{"requests": 1},
		})
	}
	clock := testsuite.NewClock()
	begin := clock.Now()
	read, write := limited("Read").Inline().WithClock(clock.Clock()), limited("Write").Inline().WithClock(clock.Clock())
	for n := range 3 {
		for _, i := range []*activity.Inline[int, int]{read, write} {
			_, err := i.Call(t.Context(), n)
			require.NoError(t, err)
		}
	}
	assert.Equal(t, 5*time.Second, clock.Now().Sub(begin))

	other := testsuite.NewClock()
	_, err := limited("Other").Inline().WithClock(other.Clock()).Call(t.Context(), 0)
	require.NoError(t, err)
	assert.Empty(t, other.Slept(), "another clock, other limits")
}
