package limits_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/limits"
)

var errTaken = errors.New("another process has it")

// lossy are limiters that bound a resource "c" of 2 and a rate "r" of 10.
func lossy(t *testing.T) map[string]limits.Limiter {
	t.Helper()
	of := []limits.Limit{limits.Resource("c", 2), limits.Rate("r", 10, time.Hour)}
	pool, err := limits.NewPool(limits.Member{Set: limits.MustNew(of...)})
	require.NoError(t, err)
	return map[string]limits.Limiter{"set": limits.MustNew(of...), "key": limits.MustNewKeyed(of...).For("a"), "pool": pool}
}

func TestALeaseIsLostAlone(t *testing.T) {
	t.Parallel()
	for name, l := range lossy(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			units := limits.Units{"c": 1, "r": 2}
			lost, err := l.TryAcquire(units)
			require.NoError(t, err)
			kept, err := l.TryAcquire(units)
			require.NoError(t, err)
			ends, stays := lost.Context(t.Context()), kept.Context(t.Context())
			waits := make(chan error, 1)
			go func() {
				_, err := l.Acquire(t.Context(), units)
				waits <- err
			}()

			engineOf(l).Lose(lost, errTaken)
			require.NoError(t, <-waits, "its resource is free again")
			<-ends.Done()
			require.ErrorIs(t, context.Cause(ends), limits.ErrLost)
			require.ErrorIs(t, context.Cause(ends), errTaken)
			for range 2 {
				require.ErrorIs(t, lost.Use(limits.Units{"r": 1}), errTaken)
				require.ErrorIs(t, context.Cause(lost.Context(t.Context())), limits.ErrLost)
				assert.Nil(t, lost.Units())
				lost.Undo()
				lost.Release()
				engineOf(l).Lose(lost, errors.New("again"))
			}

			require.NoError(t, stays.Err())
			require.NoError(t, kept.Use(limits.Units{"r": 1}), "no other lease is touched")
			_, err = l.TryAcquire(limits.Units{"c": 1})
			require.ErrorIs(t, err, limits.ErrNoRoom, "what it held is given back once")
			_, err = l.TryAcquire(limits.Units{"r": 6})
			require.ErrorIs(t, err, limits.ErrNoRoom, "rates stay charged: 2 are lost, 1 and 2 are held")
			_, err = l.TryAcquire(limits.Units{"r": 5})
			require.NoError(t, err)
		})
	}
}

func TestALeaseThatHasEndedIsNotLost(t *testing.T) {
	t.Parallel()
	s := limits.MustNew(limits.Resource("c", 1))
	lease, err := s.TryAcquire(limits.Units{"c": 1})
	require.NoError(t, err)
	lease.Release()
	engineOf(s).Lose(lease, errTaken)
	engineOf(s).Lose(limits.Lease{}, errTaken)
	require.ErrorIs(t, lease.Use(nil), limits.ErrReleased)

	next, err := s.TryAcquire(limits.Units{"c": 1})
	require.NoError(t, err)
	engineOf(s).Lose(lease, errTaken)
	assert.Equal(t, limits.Units{"c": 1}, next.Units(), "the lease that came after it")
	s.Close(errTaken)
	engineOf(s).Lose(next, errors.New("too late"))
	require.ErrorIs(t, next.Use(nil), errTaken)
}

func TestReleaseAndLossAtOnceGiveBackOnce(t *testing.T) {
	t.Parallel()
	for _, of := range [][]limits.Limit{{limits.Resource("c", 4)}, {limits.Resource("c", 4), limits.Resource("d", 1000)}} {
		s := limits.MustNew(of...)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 300 {
					lease, err := s.Acquire(t.Context(), limits.Units{"c": 1})
					if !assert.NoError(t, err) {
						return
					}
					var both sync.WaitGroup
					both.Go(lease.Release)
					both.Go(func() { engineOf(s).Lose(lease, errTaken) })
					both.Wait()
				}
			})
		}
		all.Wait()
		assert.Zero(t, s.Snapshot().Leases)
		assert.Zero(t, s.Snapshot().Limits[0].InUse)
	}
}

func TestTheZeroPoolGrantsNothing(t *testing.T) {
	t.Parallel()
	var p limits.Pool
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, acquire := range map[string]func() (limits.Lease, error){
		"TryAcquire":               func() (limits.Lease, error) { return p.TryAcquire(limits.Units{"c": 1}) },
		"Acquire":                  func() (limits.Lease, error) { return p.Acquire(t.Context(), limits.Units{"c": 1}) },
		"Acquire, of ended":        func() (limits.Lease, error) { return p.Acquire(over, limits.Units{"c": 1}) },
		"Acquire, of nothing":      func() (limits.Lease, error) { return p.Acquire(t.Context(), nil) },
		"the check of its methods": func() (limits.Lease, error) { return limits.Lease{}, sourceOf(&p).CheckUnits(nil) },
	} {
		lease, err := acquire()
		require.EqualError(t, err, `members "none": must be at least one; make a pool with limits.NewPool`, name)
		assert.Equal(t, limits.Lease{}, lease, name)
	}
	assert.Empty(t, p.Snapshots())
}
