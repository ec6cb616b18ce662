package limits_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/internal/limitengine"
	"github.com/concurry-go/concurry/limits"
)

func TestDeclarationsAreSources(t *testing.T) {
	t.Parallel()
	c, r := limits.Resource("c", 2), limits.Rate("r", 5, time.Second)
	set := limits.MustNew(c, r)
	pool, err := limits.NewPool(limits.Member{Set: limits.MustNew(limits.Resource("c", 1), r)}, limits.Member{Set: set})
	require.NoError(t, err)
	for name, source := range map[string]limits.Source{
		"declaration": limits.PerSessionOrWorker(c, r), "set": set, "keyed": limits.MustNewKeyed(c, r), "pool": pool,
	} {
		require.NoError(t, sourceOf(source).CheckUnits(nil), name)
		require.NoError(t, sourceOf(source).CheckUnits(limits.Units{"c": 2, "r": 5}), name)
		require.Error(t, sourceOf(source).CheckUnits(limits.Units{"c": 3}), name)
		require.Error(t, sourceOf(source).CheckUnits(limits.Units{"d": 1}), name)
		assert.False(t, sourceOf(source).ChargesCalls(), name)
	}
	calls := limits.Calls(1, time.Second)
	pool, err = limits.NewPool(limits.Member{Set: limits.MustNew(calls)})
	require.NoError(t, err)
	for _, source := range []limits.Source{limits.PerWorker(c, calls), limits.MustNew(c, calls), limits.MustNewKeyed(calls), pool} {
		assert.True(t, sourceOf(source).ChargesCalls())
	}
	require.ErrorContains(t, limits.PerSession(limits.Resource("c", 0)).Check(), `limit "c": Capacity 0`)
	require.ErrorContains(t, sourceOf(limits.PerSession(limits.Resource("c", 0))).CheckUnits(limits.Units{"c": 1}), `limit "c": Capacity 0`)
	_, err = limits.PerSessionOrWorker().InProcess()
	require.ErrorContains(t, err, "must be at least one")

	d := limits.PerSessionOrWorker(c)
	assert.Equal(t, limits.ScopeSessionOrWorker, d.Scope())
	assert.Equal(t, []limits.Limit{c}, d.Limits())
	first, err := d.InProcess()
	require.NoError(t, err)
	again, err := d.InProcess()
	require.NoError(t, err)
	assert.Same(t, first, again)
	own, err := sourceOf(d).OpenSets(limitengine.Clock{})
	require.NoError(t, err)
	assert.NotSame(t, first, own)
}
