package worker

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/limits"
)

func TestNumberOfSlotsIsWhatResourcesAllow(t *testing.T) {
	t.Parallel()
	gpus, rate := limits.Resource("gpu", 9), limits.Rate("starts", 2, time.Minute)
	pool, err := limits.NewPool(limits.Member{Set: limits.MustNew(gpus)}, limits.Member{Set: limits.MustNew(limits.Resource("gpu", 3))})
	require.NoError(t, err)
	unbounded, err := limits.NewPool(limits.Member{Set: limits.MustNew(rate)}, limits.Member{Set: limits.MustNew(rate)})
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		limiter limits.Limiter
		units   limits.Units
		want    int
		unknown bool
	}{
		"one unit each":           {limits.MustNew(gpus), limits.Units{"gpu": 1}, 9, false},
		"two units each":          {limits.MustNew(gpus), limits.Units{"gpu": 2}, 4, false},
		"the scarcest decides":    {limits.MustNew(gpus, limits.Resource("disk", 2)), limits.Units{"gpu": 2, "disk": 1}, 2, false},
		"not what is not asked":   {limits.MustNew(gpus, limits.Resource("disk", 2)), limits.Units{"gpu": 2}, 4, false},
		"rates do not bound them": {limits.MustNew(gpus, rate), limits.Units{"gpu": 1, "starts": 1}, 9, false},
		"rates alone":             {limits.MustNew(rate), limits.Units{"starts": 1}, math.MaxInt, false},
		"a pool":                  {pool, limits.Units{"gpu": 2}, 5, false},
		"a pool of rates":         {unbounded, limits.Units{"starts": 1}, math.MaxInt, false},
		"a key of a set":          {limits.MustNewKeyed(gpus).For("tenant"), limits.Units{"gpu": 1}, 0, true},
	} {
		n, ok := (&limited{limiter: tc.limiter, units: tc.units}).Slots()
		assert.Equal(t, tc.want, n, name)
		assert.Equal(t, !tc.unknown, ok, name)
	}

	set := limits.MustNew(gpus)
	slots := &limited{limiter: set, units: limits.Units{"gpu": 2}}
	require.NoError(t, set.Resize("gpu", 1))
	n, ok := slots.Slots()
	assert.True(t, ok)
	assert.Zero(t, n, "none, for now")
}
