package limits_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/limits"
)

// waitFor makes a request that has to wait; the channel is closed when it is
// served.
func waitFor(t *testing.T, ctx context.Context, set *limits.Set, units limits.Units) <-chan struct{} {
	t.Helper()
	before := set.Snapshot().Waiting
	served := make(chan struct{})
	go func() {
		defer close(served)
		if lease, err := set.Acquire(ctx, units); assert.NoError(t, err) {
			defer lease.Release()
		}
	}()
	synctest.Wait()
	require.Equal(t, before+1, set.Snapshot().Waiting)
	return served
}

func isServed(served <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-served:
		return true
	default:
		return false
	}
}

// A method requires a connection and acquires tokens; others wait for the
// connection. Behind them it would wait for ever.
func TestWhoHoldsAResourceDoesNotWaitForThoseWhoWaitForIt(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]func(t *testing.T, set *limits.Set) (context.Context, func()){
		"acquired from the context": func(t *testing.T, set *limits.Set) (context.Context, func()) {
			ctx, release := limits.With(t.Context(), set)
			_, err := limits.Acquire(ctx, limits.Units{"c": 1})
			require.NoError(t, err)
			return ctx, release
		},
		"held before": func(t *testing.T, set *limits.Set) (context.Context, func()) {
			lease, err := set.Acquire(t.Context(), limits.Units{"c": 1})
			require.NoError(t, err)
			ctx, release := engineOf(set).Within(t.Context(), lease)
			return ctx, func() { release(); lease.Release() }
		},
		"held around it": func(t *testing.T, set *limits.Set) (context.Context, func()) {
			ctx, release := limits.With(t.Context(), set)
			_, err := limits.Acquire(ctx, limits.Units{"c": 1})
			require.NoError(t, err)
			inner, releaseInner := limits.With(ctx, set)
			return inner, func() { releaseInner(); release() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				set := limits.MustNew(limits.Resource("c", 1), limits.Rate("tokens", 10, time.Minute))
				ctx, release := hold(t, set)
				other := waitFor(t, t.Context(), set, limits.Units{"c": 1})
				begin := time.Now()
				_, err := limits.Acquire(ctx, limits.Units{"tokens": 10})
				require.NoError(t, err)
				assert.Zero(t, time.Since(begin))

				_, err = limits.Acquire(ctx, limits.Units{"tokens": 1})
				require.NoError(t, err)
				assert.Equal(t, time.Minute, time.Since(begin), "time makes room for it, not for the other")
				assert.False(t, isServed(other))
				release()
				assert.True(t, isServed(other))
			})
		})
	}
}

func TestHoldersAreServedInTheirOrderAndTheOthersInTheirs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		set := limits.MustNew(limits.Resource("c", 2), limits.Rate("tokens", 1, time.Minute))
		var holders []context.Context
		for range 2 {
			ctx, release := limits.With(t.Context(), set)
			defer release()
			_, err := limits.Acquire(ctx, limits.Units{"c": 1})
			require.NoError(t, err)
			holders = append(holders, ctx)
		}
		_, err := set.Acquire(t.Context(), limits.Units{"tokens": 1})
		require.NoError(t, err)
		tokens := limits.Units{"tokens": 1}
		order := []<-chan struct{}{nil, nil, waitFor(t, t.Context(), set, tokens)}
		time.Sleep(time.Second)
		order[0] = waitFor(t, holders[0], set, tokens)
		order = append(order, waitFor(t, t.Context(), set, tokens))
		order[1] = waitFor(t, holders[1], set, tokens)
		assert.Equal(t, time.Second, set.Snapshot().OldestWait, "that of the first, which is served third")
		time.Sleep(-time.Second + time.Millisecond + time.Minute)
		for i := range order {
			assert.True(t, isServed(order[i]), i)
			for _, later := range order[i+1:] {
				assert.False(t, isServed(later), i)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestOnlyAResourceThatIsHeldComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		set := limits.MustNew(limits.Resource("c", 1), limits.Rate("tokens", 2, time.Minute))
		ctx, release := limits.With(t.Context(), set)
		defer release()
		_, err := limits.Acquire(ctx, limits.Units{"tokens": 2}) // nobody waits for its release
		require.NoError(t, err)
		c, err := limits.Acquire(ctx, limits.Units{"c": 1})
		require.NoError(t, err)
		c.Release()
		other := waitFor(t, t.Context(), set, limits.Units{"tokens": 2})
		own := waitFor(t, ctx, set, limits.Units{"tokens": 1})
		time.Sleep(time.Minute)
		assert.True(t, isServed(other))
		assert.False(t, isServed(own))
		time.Sleep(time.Minute)
		assert.True(t, isServed(own))
	})
}
