package limits_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/limits"
)

func TestKeysDoNotBoundEachOther(t *testing.T) {
	t.Parallel()
	k := limits.MustNewKeyed(limits.Resource("c", 1))
	a, err := k.For("a").Acquire(t.Context(), limits.Units{"c": 1})
	require.NoError(t, err)
	b, err := k.For("b").TryAcquire(limits.Units{"c": 1})
	require.NoError(t, err)
	_, err = k.For("a").TryAcquire(limits.Units{"c": 1})
	require.ErrorIs(t, err, limits.ErrNoRoom)
	assert.InDelta(t, 1, k.Snapshots()["a"].Limits[0].InUse, 0)
	a.Release()
	b.Release()
}

func TestIdleKeysAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		resources := limits.MustNewKeyed(limits.Resource("c", 1))
		for i := range 100 {
			lease, err := resources.For(strconv.Itoa(i)).Acquire(t.Context(), limits.Units{"c": 1})
			require.NoError(t, err)
			lease.Release()
		}
		assert.Zero(t, resources.Len(), "at once, where nothing is left to remember")

		rates := limits.MustNewKeyed(limits.Rate("r", 10, time.Minute), limits.Resource("c", 1))
		busy, err := rates.For("busy").Acquire(t.Context(), limits.Units{"c": 1})
		require.NoError(t, err)
		for i := range 100 {
			lease, err := rates.For(strconv.Itoa(i)).Acquire(t.Context(), limits.Units{"r": 3})
			require.NoError(t, err)
			lease.Release()
			time.Sleep(time.Second)
		}
		synctest.Wait()
		assert.Equal(t, 60, rates.Len(), "those of the last minute, and the one that holds something")
		_, err = rates.For("99").Acquire(t.Context(), limits.Units{"r": 7})
		require.NoError(t, err)
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Equal(t, 2, rates.Len(), "two hold something")
		busy.Release()
		assert.Equal(t, 1, rates.Len())
		rates.Close(nil)
	})
}

func TestKeyThatIsForgottenHasLostNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := limits.MustNewKeyed(limits.Rate("r", 2, time.Minute))
		acquire := func() error {
			lease, err := k.For("a").TryAcquire(limits.Units{"r": 1})
			lease.Release()
			return err
		}
		for range 10 {
			require.NoError(t, acquire())
			require.NoError(t, acquire())
			require.ErrorIs(t, acquire(), limits.ErrNoRoom)
			time.Sleep(time.Minute)
		}
	})
}

func TestKeyIsNotForgottenWhileSomebodyWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := limits.MustNewKeyed(limits.Resource("c", 1))
		lease, err := k.For("a").Acquire(t.Context(), limits.Units{"c": 1})
		require.NoError(t, err)
		served := make(chan limits.Lease)
		go func() {
			lease, err := k.For("a").Acquire(t.Context(), limits.Units{"c": 1})
			assert.NoError(t, err)
			served <- lease
		}()
		synctest.Wait()
		lease.Release()
		second := <-served
		_, err = k.For("a").TryAcquire(limits.Units{"c": 1})
		require.ErrorIs(t, err, limits.ErrNoRoom, "it is the same set")
		second.Release()
		assert.Zero(t, k.Len())
	})
}

func TestKeyedResizeIsForAllKeys(t *testing.T) {
	t.Parallel()
	k := limits.MustNewKeyed(limits.Resource("c", 1))
	_, err := k.For("a").Acquire(t.Context(), limits.Units{"c": 1})
	require.NoError(t, err)
	require.NoError(t, k.Resize("c", 2))
	for _, key := range []string{"a", "b", "b"} {
		_, err = k.For(key).TryAcquire(limits.Units{"c": 1})
		require.NoError(t, err, key)
	}
	require.ErrorContains(t, k.Resize("c", 0.5), `limit "c": Capacity 0.5`)
	require.ErrorContains(t, k.Resize("d", 1), `no such limit`)
}

func TestClosedKeyedServesNoKey(t *testing.T) {
	t.Parallel()
	k := limits.MustNewKeyed(limits.Resource("c", 1))
	lease, err := k.For("a").Acquire(t.Context(), limits.Units{"c": 1})
	require.NoError(t, err)
	ctx := lease.Context(t.Context())
	cause := errors.New("over")
	k.Close(cause)
	require.ErrorIs(t, context.Cause(ctx), cause)
	_, err = k.For("b").TryAcquire(limits.Units{"c": 1})
	require.ErrorIs(t, err, cause)
	require.ErrorIs(t, err, limits.ErrClosed)
	lease.Release()
	assert.Zero(t, k.Len())
}

func TestKeyedWithstandsManyGoroutines(t *testing.T) {
	t.Parallel()
	k := limits.MustNewKeyed(limits.Resource("c", 2), limits.Rate("r", 1e6, time.Microsecond))
	var done sync.WaitGroup
	for g := range 200 {
		done.Go(func() {
			for i := range 50 {
				lease, err := k.For(strconv.Itoa((g+i)%7)).Acquire(t.Context(), limits.Units{"c": 1, "r": 1})
				if err != nil {
					t.Error(err)
				}
				lease.Release()
			}
		})
	}
	done.Wait()
	k.Close(nil)
}

func TestPoolGoesToTheFirstSetWithRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		small, large := limits.MustNew(limits.Resource("c", 1)), limits.MustNew(limits.Resource("c", 3))
		p, err := limits.NewPool(limits.Member{Set: small, Metadata: "eu"}, limits.Member{Set: large, Metadata: "us"})
		require.NoError(t, err)
		acquire := func(n int) limits.Lease {
			lease, err := p.Acquire(t.Context(), limits.Units{"c": n})
			require.NoError(t, err)
			return lease
		}
		first, second := acquire(1), acquire(1)
		assert.Equal(t, []any{"eu", "us"}, []any{first.Metadata(), second.Metadata()})
		third := acquire(2)
		assert.Equal(t, "us", third.Metadata(), "more than the first can ever grant")
		_, err = p.TryAcquire(limits.Units{"c": 1})
		require.ErrorIs(t, err, limits.ErrNoRoom)

		served := make(chan limits.Lease, 1)
		go func() { served <- acquire(1) }()
		synctest.Wait()
		assert.Equal(t, []int{1, 1}, []int{p.Snapshots()[0].Waiting, p.Snapshots()[1].Waiting}, "it waits for all of them")
		second.Release()
		lease := <-served
		assert.Equal(t, "us", lease.Metadata())
		synctest.Wait()
		assert.Equal(t, []int{0, 0}, []int{p.Snapshots()[0].Waiting, p.Snapshots()[1].Waiting})
		for _, l := range []limits.Lease{first, third, lease} {
			l.Release()
		}
		assert.Zero(t, p.Snapshots()[0].Leases+p.Snapshots()[1].Leases)
	})
}

func TestPoolsErrorsAreTheSets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := limits.MustNew(limits.Resource("c", 1)), limits.MustNew(limits.Resource("c", 2))
		p, err := limits.NewPool(limits.Member{Set: a}, limits.Member{Set: b})
		require.NoError(t, err)
		var wrong *limits.UnitsError
		for _, units := range []limits.Units{{"d": 1}, {"c": 3}, {"c": 0}} {
			_, err = p.Acquire(t.Context(), units)
			require.ErrorAs(t, err, &wrong)
		}
		_, err = p.Acquire(t.Context(), limits.Units{"c": 2})
		require.NoError(t, err)
		held, err := p.Acquire(t.Context(), limits.Units{"c": 1})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = p.Acquire(ctx, limits.Units{"c": 1})
		require.EqualError(t, err, "limits: no room for c, 0 ahead: context deadline exceeded")

		errs := make(chan error)
		wait := func() {
			_, err := p.Acquire(t.Context(), limits.Units{"c": 1})
			errs <- err
		}
		go wait()
		synctest.Wait()
		a.Close(nil)
		synctest.Wait()
		select {
		case err := <-errs:
			t.Fatalf("one member closed, and the other may still serve it: %v", err)
		default:
		}
		b.Close(nil)
		require.ErrorIs(t, <-errs, limits.ErrClosed)
		go wait()
		require.ErrorIs(t, <-errs, limits.ErrClosed)
		held.Release()

		_, err = limits.NewPool()
		require.EqualError(t, err, `members "none": must be at least one`)
		_, err = limits.NewPool(limits.Member{})
		require.EqualError(t, err, `members[0].Set "nil": must be a set`)
	})
}

// A request that one member serves must not be served by another too, nor hold
// up those behind it there.
func TestPoolWithstandsManyGoroutines(t *testing.T) {
	t.Parallel()
	sets := []*limits.Set{limits.MustNew(limits.Resource("c", 2)), limits.MustNew(limits.Resource("c", 1)), limits.MustNew(limits.Resource("c", 3))}
	p, err := limits.NewPool(limits.Member{Set: sets[0]}, limits.Member{Set: sets[1]}, limits.Member{Set: sets[2]})
	require.NoError(t, err)
	var done sync.WaitGroup
	for g := range 300 {
		done.Go(func() {
			for i := range 30 {
				ctx, cancel := context.WithCancel(t.Context())
				if (g+i)%4 == 0 {
					go cancel()
				}
				from := limits.Limiter(p)
				if g%3 == 0 {
					from = sets[g/3%3] // beside those who come by the pool
				}
				if lease, err := from.Acquire(ctx, limits.Units{"c": 1}); err == nil {
					lease.Release()
				}
				cancel()
			}
		})
	}
	done.Wait()
	for _, s := range p.Snapshots() {
		assert.Zero(t, s.Leases)
		assert.Zero(t, s.Waiting)
		assert.Zero(t, s.Limits[0].InUse)
	}
}

func TestContextsLimits(t *testing.T) {
	t.Parallel()
	s := limits.MustNew(limits.Resource("c", 3), limits.Calls(100, time.Hour))
	_, err := limits.Acquire(t.Context(), limits.Units{"c": 1})
	require.ErrorIs(t, err, limits.ErrNoLimits)
	_, err = limits.TryAcquire(t.Context(), limits.Units{"c": 1})
	require.ErrorIs(t, err, limits.ErrNoLimits)
	assert.Nil(t, limits.From(t.Context()))

	ctx, release := limits.With(t.Context(), s)
	assert.Equal(t, limits.Limiter(s), limits.From(ctx))
	lease, err := limits.Acquire(ctx, limits.Units{"c": 1})
	require.NoError(t, err)
	_, err = limits.TryAcquire(ctx, limits.Units{"c": 1})
	require.NoError(t, err)
	lease.Release()
	assert.InDelta(t, 1, s.Snapshot().Limits[0].InUse, 0)
	release()
	assert.Zero(t, s.Snapshot().Limits[0].InUse, "what was forgotten is released")
	_, err = limits.Acquire(ctx, limits.Units{"c": 1})
	require.ErrorIs(t, err, limits.ErrReleased, "the work is over")
	assert.Zero(t, s.Snapshot().Limits[0].InUse)

	before := s.Snapshot().Limits[1].InUse
	ctx, release = engineOf(s).Within(t.Context(), limits.Lease{})
	_, err = limits.Acquire(ctx, limits.Units{"c": 1})
	require.NoError(t, err)
	_, err = limits.TryAcquire(ctx, limits.Units{"c": 1})
	require.NoError(t, err)
	assert.InDelta(t, before, s.Snapshot().Limits[1].InUse, 0, "the call has been charged already")
	release()
}
