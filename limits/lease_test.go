package limits_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/limits"
)

// concurry's set hides the error of work that ends before it has told its
// usage, and never gives the resources of the set back.
func TestWorkThatErrsBeforeUseKeepsItsErrorAndLeaksNothing(t *testing.T) {
	t.Parallel()
	s := limits.MustNew(limits.Resource("connections", 1), limits.Rate("tokens", 100, time.Hour))
	errDown := errors.New("service down")
	work := func() error {
		lease, err := s.Acquire(t.Context(), limits.Units{"connections": 1, "tokens": 40})
		if err != nil {
			return err
		}
		defer lease.Release()
		return errDown // before lease.Use
	}
	require.Equal(t, errDown, work())
	require.Equal(t, errDown, work(), "the connection is free again")
	s2 := s.Snapshot()
	assert.Zero(t, s2.Limits[0].InUse)
	assert.InDelta(t, 80, s2.Limits[1].InUse, 0, "charged with what it asked for")
}

func TestUseGivesBackWhatWasNotUsedAndChargesWhatWas(t *testing.T) {
	t.Parallel()
	for _, a := range []limits.Algorithm{limits.AlgorithmSlidingWindow, limits.AlgorithmFixedWindow, limits.AlgorithmTokenBucket, limits.AlgorithmGCRA, limits.AlgorithmLeakyBucket} {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := limits.MustNew(limits.Rate("tokens", 100, 100*time.Second).By(a), limits.Resource("connections", 2))
				used := func() float64 { return s.Snapshot().Limits[0].InUse }
				lease, err := s.Acquire(t.Context(), limits.Units{"tokens": 60, "connections": 1})
				require.NoError(t, err)
				require.NoError(t, lease.Use(limits.Units{"tokens": 10, "connections": 1}))
				assert.InDelta(t, 10, used(), 1e-6, "50 are given back")
				require.NoError(t, lease.Use(limits.Units{"tokens": 90}))
				assert.InDelta(t, 90, used(), 1e-6, "30 more than acquired")
				require.NoError(t, lease.Use(limits.Units{"tokens": 0}))
				assert.InDelta(t, 0, used(), 1e-6)
				require.NoError(t, lease.Use(limits.Units{"tokens": 150}))
				assert.InDelta(t, 150, used(), 1e-6, "beyond the capacity")
				assert.InDelta(t, 1.5, s.Snapshot().Limits[0].Utilization, 1e-6)
				assert.Zero(t, s.Snapshot().Limits[0].Available)
				lease.Release()
				assert.InDelta(t, 150, used(), 1e-6, "and stays charged")
				begin := time.Now()
				_, err = s.Acquire(t.Context(), limits.Units{"tokens": 1})
				require.NoError(t, err)
				assert.Greater(t, time.Since(begin), 50*time.Second, "later requests wait for it")
			})
		})
	}
}

func TestUseThatIsWrongIsNamedAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := limits.MustNew(limits.Resource("connections", 2), limits.Rate("tokens", 100, time.Hour), limits.Calls(9, time.Hour))
	lease, err := s.Acquire(t.Context(), limits.Units{"connections": 1, "tokens": 5})
	require.NoError(t, err)
	for want, used := range map[string]limits.Units{
		`limits: units of "connections" 2: must be from 0 to 1, which the lease holds`: {"tokens": 1, "connections": 2},
		`limits: units of "tokens" -1: must be from 0 to 1000000000000`:                {"tokens": -1},
		`limits: units of "token" 1: no such limit; there are connections, tokens`:     {"tokens": 1, "token": 1},
		`limits: units of "calls" 1: must not be named: a call is one`:                 {"calls": 1},
	} {
		require.EqualError(t, lease.Use(used), want)
	}
	assert.Equal(t, limits.Units{"connections": 1, "tokens": 5, "calls": 1}, lease.Units())
	lease.Release()
	require.ErrorIs(t, lease.Use(limits.Units{"tokens": 1}), limits.ErrReleased)
	assert.Nil(t, lease.Units())
	require.NoError(t, limits.Lease{}.Use(limits.Units{"tokens": 1}), "where there are no limits")
}

func TestUsageOfWhatWasNotAcquiredIsCharged(t *testing.T) {
	t.Parallel()
	s := limits.MustNew(limits.Resource("connections", 2), limits.Rate("tokens", 100, time.Hour))
	lease, err := s.Acquire(t.Context(), limits.Units{"connections": 1})
	require.NoError(t, err)
	require.NoError(t, lease.Use(limits.Units{"tokens": 70}))
	require.NoError(t, lease.Use(limits.Units{"tokens": 80}))
	assert.InDelta(t, 80, s.Snapshot().Limits[1].InUse, 0)
}

func TestLeaseIsReleasedOnceWhoeverHasACopy(t *testing.T) {
	t.Parallel()
	s := limits.MustNew(limits.Resource("c", 2))
	first, err := s.Acquire(t.Context(), limits.Units{"c": 2})
	require.NoError(t, err)
	again := first
	first.Release()
	second, err := s.Acquire(t.Context(), limits.Units{"c": 2}) // takes the same entry of the table
	require.NoError(t, err)
	again.Release()
	assert.InDelta(t, 2, s.Snapshot().Limits[0].InUse, 0)
	second.Release()
	assert.Zero(t, s.Snapshot().Limits[0].InUse)
	limits.Lease{}.Release()
}

func TestLeasesContextEndsWithTheLease(t *testing.T) {
	t.Parallel()
	s := limits.MustNew(limits.Resource("c", 2))
	lease, err := s.Acquire(t.Context(), limits.Units{"c": 1})
	require.NoError(t, err)
	type key struct{}
	parent := context.WithValue(t.Context(), key{}, "value")
	ctx := lease.Context(parent)
	assert.Equal(t, "value", ctx.Value(key{}))
	require.NoError(t, ctx.Err())
	lease.Release()
	require.ErrorIs(t, context.Cause(ctx), limits.ErrReleased)
	require.ErrorIs(t, context.Cause(lease.Context(parent)), limits.ErrReleased)
}

// A method may be called where there are no limits: what it does with what it
// holds does nothing, and ends nothing.
func TestZeroLeaseHoldsNothingAndEndsNothing(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithCancel(t.Context())
	held := limits.Held(parent)
	require.NoError(t, held.Use(limits.Units{"tokens": 5}))
	assert.Nil(t, held.Units())
	ctx := held.Context(parent)
	assert.Equal(t, parent, ctx)
	require.NoError(t, ctx.Err())
	held.Release()
	held.Undo()
	require.NoError(t, ctx.Err())
	require.NoError(t, held.Context(parent).Err())
	cancel()
	require.ErrorIs(t, ctx.Err(), context.Canceled)
}
