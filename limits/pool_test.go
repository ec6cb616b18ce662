package limits_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/limits"
)

func TestMembersOfAPoolAreACopy(t *testing.T) {
	t.Parallel()
	a, b := limits.MustNew(limits.Resource("c", 1)), limits.MustNew(limits.Resource("c", 2))
	pool, err := limits.NewPool(limits.Member{Set: a}, limits.Member{Set: b})
	require.NoError(t, err)
	members := pool.Members()
	require.Len(t, members, 2)
	members[0].Set = nil
	assert.Same(t, a, pool.Members()[0].Set)
	var zero limits.Pool
	assert.Empty(t, zero.Members())
}
