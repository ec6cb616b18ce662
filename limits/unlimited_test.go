package limits_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/limits"
)

func TestUnlimitedGrantsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	ctx, release := limits.With(t.Context(), limits.Unlimited())
	for range 100 {
		lease, err := limits.Acquire(ctx, limits.Units{"tokens": 1_000_000_000, "connections": 7})
		require.NoError(t, err)
		assert.Equal(t, limits.Units{"tokens": 1_000_000_000, "connections": 7}, lease.Units())
		_, err = limits.TryAcquire(ctx, nil)
		require.NoError(t, err, "as of a set with a call limit")
	}
	release()
	_, err := limits.Acquire(ctx, limits.Units{"tokens": 1})
	require.ErrorIs(t, err, limits.ErrReleased)
}

func TestUnlimitedLeasesAreUsedAsOthers(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(limits.Lease){"release": limits.Lease.Release, "undo": limits.Lease.Undo} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := limits.Unlimited()
			lease, err := s.Acquire(t.Context(), limits.Units{"tokens": 10})
			require.NoError(t, err)
			require.NoError(t, lease.Use(limits.Units{"tokens": 3, "requests": 2}))
			assert.Equal(t, limits.Units{"tokens": 3, "requests": 2}, lease.Units())
			require.NoError(t, lease.Use(limits.Units{"tokens": 0}))
			assert.Equal(t, limits.Units{"requests": 2}, lease.Units())
			require.EqualError(t, lease.Use(limits.Units{"tokens": -1}), `limits: units of "tokens" -1: must be from 0 to 1000000000000`)
			assert.Equal(t, limits.Units{"requests": 2}, lease.Units())
			assert.Equal(t, 1, s.Snapshot().Leases)
			ctx := lease.Context(t.Context())
			require.NoError(t, ctx.Err())
			end(lease)
			end(lease)
			require.ErrorIs(t, context.Cause(ctx), limits.ErrReleased)
			require.ErrorIs(t, lease.Use(limits.Units{"tokens": 1}), limits.ErrReleased)
			assert.Nil(t, lease.Units())
			assert.Zero(t, s.Snapshot().Leases)

			other, err := s.Acquire(t.Context(), limits.Units{"d": 1})
			require.NoError(t, err)
			assert.Equal(t, limits.Units{"d": 1}, other.Units(), "nothing is left of the one before")
			opened, err := engineOf(s).OpenLease()
			require.NoError(t, err)
			assert.Empty(t, opened.Units())
			require.NoError(t, opened.Use(limits.Units{"e": 4}))
			assert.Equal(t, limits.Units{"e": 4}, opened.Units())
		})
	}
}

func TestUnlimitedRefusesBadUnits(t *testing.T) {
	t.Parallel()
	s := limits.Unlimited()
	for want, units := range map[string]limits.Units{
		`limits: units of "c" 0: must be from 1 to 1000000000000`:  {"c": 0, "d": 1},
		`limits: units of "d" -3: must be from 1 to 1000000000000`: {"c": 1, "d": -3},
	} {
		_, err := s.Acquire(t.Context(), units)
		require.EqualError(t, err, want)
		_, err = s.TryAcquire(units)
		require.EqualError(t, err, want)
		require.EqualError(t, sourceOf(s).CheckUnits(units), want)
	}
	_, err := s.Acquire(left(t), limits.Units{"c": 1})
	require.ErrorIs(t, err, errLeft)
	assert.Zero(t, s.Snapshot().Leases)
}

// It is a set: it stands where sets do, and can be closed.
func TestUnlimitedIsASet(t *testing.T) {
	t.Parallel()
	s := limits.Unlimited()
	var source limits.Source = s
	require.NoError(t, sourceOf(source).CheckUnits(limits.Units{"anything": 1}))
	require.NoError(t, sourceOf(source).CheckUnits(nil))
	assert.False(t, sourceOf(source).ChargesCalls())
	bounded := limits.MustNew(limits.Resource("c", 1))
	p, err := limits.NewPool(limits.Member{Set: bounded}, limits.Member{Set: s, Metadata: "free"})
	require.NoError(t, err)
	first, err := p.Acquire(t.Context(), limits.Units{"c": 1})
	require.NoError(t, err)
	second, err := p.Acquire(t.Context(), limits.Units{"c": 1})
	require.NoError(t, err)
	assert.Equal(t, "free", second.Metadata())
	first.Release()
	ctx := second.Context(t.Context())
	cause := errors.New("over")
	s.Close(cause)
	require.ErrorIs(t, context.Cause(ctx), limits.ErrLost)
	require.ErrorIs(t, context.Cause(ctx), cause)
	_, err = s.Acquire(t.Context(), limits.Units{"c": 1})
	require.ErrorIs(t, err, limits.ErrClosed)
	require.ErrorContains(t, s.Resize("c", 1), "no such limit; there are none")
}

func TestErrorWithoutLimitsNamesUnlimited(t *testing.T) {
	t.Parallel()
	_, err := limits.Acquire(t.Context(), limits.Units{"c": 1})
	require.ErrorIs(t, err, limits.ErrNoLimits)
	require.ErrorContains(t, err, "limits.Unlimited()")
}
