package limits_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/internal/limitengine"
	"github.com/concurry-go/concurry/limits"
)

func TestWaitEndsWithItsContextAndSaysForWhat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := limits.MustNew(limits.Resource("connections", 1), limits.Rate("tokens", 10, time.Minute))
		held, err := s.Acquire(t.Context(), limits.Units{"connections": 1, "tokens": 8})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err = s.Acquire(ctx, limits.Units{"connections": 1, "tokens": 5})
		require.EqualError(t, err, "limits: no room for connections, tokens, 0 ahead: context deadline exceeded")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var wait *limits.WaitError
		require.ErrorAs(t, err, &wait)

		first, cancelFirst := context.WithCancel(t.Context())
		go func() { _, _ = s.Acquire(first, limits.Units{"connections": 1}) }()
		synctest.Wait()
		cause := errors.New("the user has left")
		second, cancelSecond := context.WithCancelCause(t.Context())
		cancelSecond(cause)
		_, err = s.Acquire(second, limits.Units{"tokens": 1})
		require.EqualError(t, err, "limits: not its turn yet, 1 ahead: the user has left")
		require.ErrorIs(t, err, cause)
		cancelFirst()
		synctest.Wait()
		held.Release()
		assert.Zero(t, s.Snapshot().Waiting)
	})
}

func TestLargeRequestIsNotStarvedBySmallOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := limits.MustNew(limits.Resource("c", 4))
		var mu sync.Mutex
		var served []string
		acquire := func(name string, n int) {
			lease, err := s.Acquire(t.Context(), limits.Units{"c": n})
			assert.NoError(t, err)
			mu.Lock()
			served = append(served, name)
			mu.Unlock()
			time.Sleep(time.Second)
			lease.Release()
		}
		for i := range 3 {
			go acquire(fmt.Sprint("small ", i), 1)
			synctest.Wait()
		}
		go acquire("large", 4)
		synctest.Wait()
		for i := 3; i < 6; i++ {
			go acquire(fmt.Sprint("small ", i), 1) // there is room for one, but it is not their turn
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []string{"small 0", "small 1", "small 2", "large"}, served[:4])
		assert.Len(t, served, 7)
	})
}

func TestTimeMakesRoomToTheNanosecond(t *testing.T) {
	t.Parallel()
	for _, a := range []limits.Algorithm{limits.AlgorithmSlidingWindow, limits.AlgorithmFixedWindow, limits.AlgorithmTokenBucket, limits.AlgorithmGCRA, limits.AlgorithmLeakyBucket} {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := limits.MustNew(limits.Rate("requests", 3, 3*time.Second).By(a))
				begin := time.Now()
				var at []time.Duration
				for range 7 {
					lease, err := s.Acquire(t.Context(), limits.Units{"requests": 1})
					require.NoError(t, err)
					lease.Release()
					at = append(at, time.Since(begin))
				}
				s0, s1 := time.Duration(0), time.Second
				want := map[limits.Algorithm][]time.Duration{
					limits.AlgorithmSlidingWindow: {s0, s0, s0, 3 * s1, 3 * s1, 3 * s1, 6 * s1},
					limits.AlgorithmFixedWindow:   {s0, s0, s0, 3 * s1, 3 * s1, 3 * s1, 6 * s1},
					limits.AlgorithmTokenBucket:   {s0, s0, s0, s1, 2 * s1, 3 * s1, 4 * s1},
					limits.AlgorithmGCRA:          {s0, s0, s0, s1, 2 * s1, 3 * s1, 4 * s1},
					limits.AlgorithmLeakyBucket:   {s0, s1, 2 * s1, 3 * s1, 4 * s1, 5 * s1, 6 * s1},
				}
				assert.Equal(t, want[a], at)
			})
		})
	}
}

// concurry's leaky bucket never drains below 100 units per second, since each
// look at it, every 10 ms, forgets the time that has passed.
func TestLeakyBucketBelow100PerSecondMakesProgress(t *testing.T) {
	t.Parallel()
	for _, perSecond := range []float64{99, 10, 1, 1.5} {
		synctest.Test(t, func(t *testing.T) {
			s := limits.MustNew(limits.Rate("r", perSecond, time.Second).By(limits.AlgorithmLeakyBucket))
			begin := time.Now()
			for range 21 {
				_, err := s.TryAcquire(limits.Units{"r": 1}) // looks at it
				if err == nil {
					continue
				}
				_, err = s.Acquire(t.Context(), limits.Units{"r": 1})
				require.NoError(t, err)
			}
			assert.InDelta(t, 20/perSecond, time.Since(begin).Seconds(), 1e-6)
		})
	}
}

func TestClosedSetLosesItsLeasesAndServesNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := limits.MustNew(limits.Resource("c", 1), limits.Rate("r", 1, time.Hour))
		lease, err := s.Acquire(t.Context(), limits.Units{"c": 1, "r": 1})
		require.NoError(t, err)
		ctx := lease.Context(t.Context())
		errs := make(chan error)
		go func() {
			_, err := s.Acquire(t.Context(), limits.Units{"c": 1})
			errs <- err
		}()
		synctest.Wait()
		cause := errors.New("the session has ended")
		s.Close(cause)
		s.Close(errors.New("again"))
		ended := func(err error) {
			t.Helper()
			require.ErrorIs(t, err, cause)
			require.ErrorIs(t, err, limits.ErrClosed)
		}
		ended(<-errs)
		require.ErrorIs(t, context.Cause(ctx), limits.ErrLost)
		require.ErrorIs(t, context.Cause(ctx), cause)
		require.ErrorIs(t, context.Cause(lease.Context(t.Context())), limits.ErrLost)
		require.ErrorIs(t, lease.Use(limits.Units{"r": 1}), limits.ErrLost)
		lease.Release()
		require.ErrorIs(t, lease.Use(limits.Units{"r": 1}), limits.ErrReleased)
		_, err = s.Acquire(t.Context(), limits.Units{"c": 1})
		ended(err)
		_, err = s.TryAcquire(limits.Units{"c": 1})
		ended(err)
		other := limits.MustNew(limits.Resource("c", 1))
		other.Close(nil)
		_, err = other.TryAcquire(limits.Units{"c": 1})
		require.ErrorIs(t, err, limits.ErrClosed)
	})
}

func TestResizeTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := limits.MustNew(limits.Resource("c", 2), limits.Rate("r", 2, time.Minute).By(limits.AlgorithmTokenBucket))
		var held []limits.Lease
		for range 2 {
			lease, err := s.Acquire(t.Context(), limits.Units{"c": 1, "r": 1})
			require.NoError(t, err)
			held = append(held, lease)
		}
		served, failed := make(chan limits.Lease, 1), make(chan error, 1)
		go func() {
			lease, err := s.Acquire(t.Context(), limits.Units{"c": 1})
			assert.NoError(t, err)
			served <- lease
		}()
		synctest.Wait()
		require.NoError(t, s.Resize("c", 3))
		held = append(held, <-served)
		go func() {
			_, err := s.Acquire(t.Context(), limits.Units{"c": 3})
			failed <- err
		}()
		synctest.Wait()
		require.NoError(t, s.Resize("c", 2))
		require.EqualError(t, <-failed, `limits: units of "c" 3: must be from 1 to 2, which is all there is since a resize`)
		assert.InDelta(t, 3, s.Snapshot().Limits[0].InUse, 0, "what is held stays held")
		_, err := s.TryAcquire(limits.Units{"c": 1})
		require.ErrorIs(t, err, limits.ErrNoRoom)
		for _, lease := range held {
			lease.Release()
		}

		begin := time.Now()
		go func() {
			lease, err := s.Acquire(t.Context(), limits.Units{"r": 1})
			assert.NoError(t, err)
			served <- lease
		}()
		time.Sleep(time.Second) // of the half minute that a token takes
		require.NoError(t, s.Resize("r", 120))
		<-served
		assert.Equal(t, time.Second, time.Since(begin), "there is room for 118")
		require.NoError(t, s.Resize("r", math.Inf(1)))
		for range 1000 {
			_, err := s.TryAcquire(limits.Units{"r": 1000})
			require.NoError(t, err)
		}
		time.Sleep(time.Hour) // what was taken before that has gone
		require.NoError(t, s.Resize("r", 1))
		_, err = s.TryAcquire(limits.Units{"r": 1})
		require.NoError(t, err, "what was taken without bound does not count")

		require.EqualError(t, s.Resize("x", 1), `limits: units of "x" 0: no such limit; there are c, r`)
		require.ErrorContains(t, s.Resize("c", 0), `limit "c": Capacity 0: must be a whole number from 1`)
		require.ErrorContains(t, s.Resize("c", 1.5), `limit "c": Capacity 1.5`)
		require.ErrorContains(t, s.Resize("r", 0.5), `limit "r": Capacity 0.5`)
	})
}

func TestFractionalAndInfiniteRates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := limits.MustNew(limits.Rate("r", 2.5, time.Second).By(limits.AlgorithmGCRA))
		begin := time.Now()
		for range 27 {
			_, err := s.Acquire(t.Context(), limits.Units{"r": 1})
			require.NoError(t, err)
		}
		assert.InDelta(t, (27-2.5)/2.5, time.Since(begin).Seconds(), 1e-6)
		free := limits.MustNew(limits.Rate("r", math.Inf(1), time.Second))
		for range 100 {
			lease, err := free.TryAcquire(limits.Units{"r": 1_000_000})
			require.NoError(t, err)
			require.NoError(t, lease.Use(limits.Units{"r": 5_000_000}))
			lease.Release()
		}
		assert.Zero(t, free.Snapshot().Limits[0].Utilization)
	})
}

func TestCallsAreChargedByThemselves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		perAttempt := limits.Calls(9, time.Minute).EachAttempt()
		perAttempt.Name = "attempts"
		s := limits.MustNew(limits.Resource("c", 9), limits.Calls(2, time.Minute), perAttempt)
		used := func() []float64 {
			all := s.Snapshot().Limits
			return []float64{all[1].InUse, all[2].InUse}
		}
		one := limits.Units{"c": 1}
		_, err := engineOf(s).Acquire(t.Context(), one, limitengine.ChargeCalls)
		require.NoError(t, err)
		assert.Equal(t, []float64{1, 1}, used())
		_, err = engineOf(s).Acquire(t.Context(), one, limitengine.ChargeAttempt)
		require.NoError(t, err)
		assert.Equal(t, []float64{1, 2}, used())
		_, err = engineOf(s).Acquire(t.Context(), one, limitengine.ChargeNothing)
		require.NoError(t, err)
		assert.Equal(t, []float64{1, 2}, used())
		_, err = s.Acquire(t.Context(), nil)
		require.NoError(t, err, "a call alone")
		_, err = s.TryAcquire(one)
		require.ErrorIs(t, err, limits.ErrNoRoom, "both calls are made")
		begin := time.Now()
		_, err = s.Acquire(t.Context(), one)
		require.NoError(t, err)
		assert.Equal(t, time.Minute, time.Since(begin))
	})
}

func TestSnapshotTellsWhoHoldsAndWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := limits.MustNew(limits.Resource("c", 4), limits.Rate("r", 10, time.Minute))
		lease, err := s.Acquire(t.Context(), limits.Units{"c": 3, "r": 2})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		for range 2 {
			go func() { _, _ = s.Acquire(ctx, limits.Units{"c": 2}) }()
			synctest.Wait()
			time.Sleep(time.Second)
		}
		got := s.Snapshot()
		assert.Equal(t, 1, got.Leases)
		assert.Equal(t, 2, got.Waiting)
		assert.Equal(t, 2*time.Second, got.OldestWait)
		c, r := got.Limits[0], got.Limits[1]
		assert.Equal(t, []float64{3, 1, 0.75}, []float64{c.InUse, c.Available, c.Utilization})
		assert.Equal(t, []float64{2, 8, 0.2}, []float64{r.InUse, r.Available, r.Utilization})
		assert.Equal(t, "c", c.Name)
		cancel()
		synctest.Wait()
		lease.Release()
		assert.Zero(t, s.Snapshot().OldestWait)
	})
}

// hand is a clock that only waits move.
type hand struct {
	mu  sync.Mutex
	now time.Time
}

func (h *hand) clock() limits.Clock {
	return limits.Clock{
		Now: func() time.Time {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.now
		},
		Sleep: func(d time.Duration, _ ...<-chan struct{}) bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.now = h.now.Add(d)
			return true
		},
	}
}

func TestWaitsTakeNoTimeOnAClockOfTheirOwn(t *testing.T) {
	t.Parallel()
	h := &hand{now: time.Unix(0, 0)}
	s, err := limits.NewWithClock(h.clock(), limits.Rate("r", 1, time.Hour), limits.Resource("c", 1))
	require.NoError(t, err)
	p, err := limits.NewPool(limits.Member{Set: s})
	require.NoError(t, err)
	var done sync.WaitGroup
	for i := range 20 {
		from := limits.Limiter(s)
		if i%2 == 0 {
			from = p
		}
		done.Go(func() {
			lease, err := from.Acquire(t.Context(), limits.Units{"r": 1, "c": 1})
			if err != nil {
				t.Error(err)
			}
			lease.Release()
		})
	}
	done.Wait()
	assert.Equal(t, 19*time.Hour, h.now.Sub(time.Unix(0, 0)))
	_, err = limits.NewWithClock(h.clock())
	require.Error(t, err)
}
