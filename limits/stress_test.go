package limits_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/limits"
)

// Thousands of goroutines acquire, cancel, release, use and resize at once; run
// it under the race detector.
func TestSetsWithstandThousandsOfGoroutines(t *testing.T) {
	t.Parallel()
	const goroutines, rounds = 2000, 20
	s := limits.MustNew(limits.Resource("c", 8), limits.Resource("d", 3), limits.Rate("r", 1e6, time.Millisecond).By(limits.AlgorithmTokenBucket))
	var c, d atomic.Int64
	var done sync.WaitGroup
	for g := range goroutines {
		done.Go(func() {
			for i := range rounds {
				ctx, cancel := context.WithCancel(t.Context())
				if (g+i)%3 == 0 {
					go cancel()
				}
				n := 1 + (g+i)%3
				lease, err := s.Acquire(ctx, limits.Units{"c": n, "d": 1, "r": 5})
				if err == nil {
					if held := c.Add(int64(n)); held > 8 {
						t.Errorf("%d of c are held", held)
					}
					if held := d.Add(1); held > 3 {
						t.Errorf("%d of d are held", held)
					}
					if i%4 == 0 {
						_ = lease.Use(limits.Units{"r": i})
					}
					c.Add(int64(-n))
					d.Add(-1)
					lease.Release()
				}
				cancel()
				if g%500 == 0 {
					_ = s.Resize("c", float64(3+i%6))
					_ = s.Snapshot()
				}
			}
		})
	}
	done.Wait()
	got := s.Snapshot()
	assert.Zero(t, got.Leases)
	assert.Zero(t, got.Waiting)
	assert.Zero(t, got.Limits[0].InUse)
	assert.Zero(t, got.Limits[1].InUse)
}

// Sets of one limit have ways around their lock; whatever else is done with
// them and their leases at the same time must see the truth.
func TestSetsOfOneLimitWithstandThousandsOfGoroutines(t *testing.T) {
	t.Parallel()
	const goroutines, rounds, most = 2000, 5, 8
	for name, limit := range map[string]limits.Limit{
		"resource": limits.Resource("u", most),
		"rate":     limits.Rate("u", 1e6, time.Millisecond).By(limits.AlgorithmGCRA),
	} {
		s := limits.MustNew(limit)
		var held, ended atomic.Int64
		var done sync.WaitGroup
		for g := range goroutines {
			done.Go(func() {
				for i := range rounds {
					ctx, cancel := context.WithCancel(t.Context())
					if (g+i)%5 == 0 {
						go cancel()
					}
					n := 1 + (g+i)%3
					lease, err := s.Acquire(ctx, limits.Units{"u": n})
					cancel()
					if err != nil {
						continue
					}
					if now := held.Add(int64(n)); name == "resource" && now > most {
						t.Errorf("%d units are held", now)
					}
					if got := lease.Units(); i%2 == 0 && got["u"] != n {
						t.Errorf("the lease holds %v, not %d", got, n)
					}
					if i%4 == 0 {
						watch := lease.Context(t.Context())
						done.Go(func() {
							<-watch.Done()
							ended.Add(1)
						})
					}
					held.Add(int64(-n))
					done.Go(lease.Release) // twice: one of the two ends it
					_, _ = lease.Use(limits.Units{"u": n}), lease.Units()
					lease.Release()
					if g%100 == 0 {
						if got := s.Snapshot(); name == "resource" && got.Limits[0].InUse > most {
							t.Errorf("%v are in use", got.Limits[0].InUse)
						}
					}
					if g%500 == 0 && name == "resource" {
						_ = s.Resize("u", float64(3+i%6))
					}
				}
			})
		}
		done.Wait()
		got := s.Snapshot()
		assert.Zero(t, got.Leases, name)
		assert.Zero(t, got.Waiting, name)
		if name == "resource" {
			assert.Zero(t, got.Limits[0].InUse)
		}
		assert.Positive(t, ended.Load(), name)
	}
}

// Thousands of requests that end at the same moment do not hold each
// other up.
func TestManyRequestsEndAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := limits.MustNew(limits.Resource("c", 1))
		held, err := s.TryAcquire(limits.Units{"c": 1})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var far atomic.Int64
		for range 5_000 {
			go func() {
				_, err := s.Acquire(ctx, limits.Units{"c": 1})
				var waited *limits.WaitError
				if !errors.As(err, &waited) || waited.Ahead > 1000 {
					t.Error(err)
				} else if waited.Ahead == 1000 {
					far.Add(1)
				}
			}()
		}
		synctest.Wait()
		require.Equal(t, 5_000, s.Snapshot().Waiting)
		cancel()
		synctest.Wait()
		assert.Zero(t, s.Snapshot().Waiting)
		assert.Positive(t, far.Load())
		held.Release()
		assert.Zero(t, s.Snapshot().Limits[0].InUse)
	})
}

func TestUncontendedAcquisitionsAllocateNothing(t *testing.T) { //nolint:paralleltest // allocations are those of the whole process
	for name, s := range map[string]*limits.Set{
		"resource":       limits.MustNew(limits.Resource("a", 5)),
		"sliding window": limits.MustNew(limits.Rate("a", 1000, time.Nanosecond)),
		"token bucket":   limits.MustNew(limits.Rate("a", 1e9, time.Second).By(limits.AlgorithmTokenBucket)),
		"three":          limits.MustNew(limits.Resource("a", 5), limits.Rate("b", 1e9, time.Second).By(limits.AlgorithmGCRA), limits.Rate("c", 1e9, time.Second).By(limits.AlgorithmFixedWindow)),
	} {
		keys := limits.Units{"a": 1}
		if name == "three" {
			keys = limits.Units{"a": 1, "b": 2, "c": 3}
		}
		ctx := t.Context()
		work := func() {
			lease, err := s.Acquire(ctx, keys)
			if err != nil {
				t.Fatal(err)
			}
			lease.Release()
		}
		work()
		assert.Zero(t, testing.AllocsPerRun(1000, work), name)
	}
}
