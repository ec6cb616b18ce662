package engine

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/retrypolicy"
)

// A context that a body derives from that of a retry costs no goroutine, and ends
// with nobody but itself, where the caller's never ends.
func TestContextsOfRetriesAreDerivedFromWithoutGoroutines(t *testing.T) {
	const derived = 1000
	before := 0
	var kept []context.Context
	l := &Loop[int, int]{
		Spec: &Spec{Retry: retrypolicy.Policy{NumRetries: 1, Wait: 1}}, Clock: fixed(), Pack: func(int) []any { return nil },
		Body: func(ctx context.Context, _ int) (int, error) {
			if Number(ctx) == 0 {
				return 0, errors.New("not yet")
			}
			before = runtime.NumGoroutine()
			for range derived {
				child, cancel := context.WithCancel(ctx)
				t.Cleanup(cancel)
				kept = append(kept, child)
			}
			assert.Less(t, runtime.NumGoroutine()-before, derived/2)
			assert.Equal(t, 2, Number(kept[0]))
			return 1, nil
		},
	}
	l.Clock.Sleep = sleep
	out, err := l.Run(context.Background(), nil)
	require.NoError(t, err)
	assert.Equal(t, 1, out)
	assert.NoError(t, kept[0].Err(), "the call's end is not the end of what its body has kept")
}
