package limits

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Work that acquires and releases for days keeps nothing of what it released.
func TestContextForgetsWhatWasReleased(t *testing.T) {
	t.Parallel()
	s := MustNew(Resource("c", 20))
	ctx, release := With(t.Context(), s)
	h, err := holderOf(ctx)
	require.NoError(t, err)
	var kept []Lease
	for i := range 10_000 {
		lease, err := Acquire(ctx, Units{"c": 1})
		require.NoError(t, err)
		if i%1000 == 0 {
			kept = append(kept, lease)
		} else {
			lease.Release()
		}
	}
	assert.Less(t, len(h.leases), 50)
	assert.Len(t, kept, s.Snapshot().Leases)
	release()
	assert.Zero(t, s.Snapshot().Leases)
}
