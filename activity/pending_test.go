package activity_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
)

// Nobody can complete a call in this process; it is no failure, and no result.
func TestPendingResultInThisProcessIsNotRetried(t *testing.T) {
	t.Parallel()
	for _, retries := range []int{0, 3} {
		n, told := 0, 0
		f := activity.Func("F", func(context.Context, int) (int, error) { n++; return 0, activity.ErrResultPending }, activity.FuncOptions[int, int]{
			Retry:     retrypolicy.Policy{NumRetries: retries, Wait: 1},
			Observers: []retrypolicy.Observer{func(context.Context, retrypolicy.Event) { told++ }},
		})
		_, err := f.Inline().Call(t.Context(), 1)
		require.ErrorIs(t, err, activity.ErrResultPending)
		assert.Equal(t, 1, n)
		assert.Zero(t, told)
	}
}
