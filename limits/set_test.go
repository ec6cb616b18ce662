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

func TestBadLimitsAreNamed(t *testing.T) {
	t.Parallel()
	good := limits.Resource("good", 1)
	for want, l := range map[string]limits.Limit{
		`limit "": Name "": must not be empty`:                                                                  limits.Resource("", 1),
		`limit "c": Capacity 0: must be a whole number from 1 to 1000000000000`:                                 limits.Resource("c", 0),
		`limit "c": Capacity -3: must be a whole number`:                                                        limits.Resource("c", -3),
		`limit "c": Capacity 1.5: must be a whole number`:                                                       {Name: "c", Kind: limits.KindResource, Capacity: 1.5},
		`limit "c": Capacity +Inf: must be a whole number`:                                                      {Name: "c", Kind: limits.KindResource, Capacity: math.Inf(1)},
		`limit "r": Capacity 0.5: must be from 1 to 1000000000000, or infinite`:                                 limits.Rate("r", 0.5, time.Second),
		`limit "r": Capacity NaN: must be from 1`:                                                               limits.Rate("r", math.NaN(), time.Second),
		`limit "r": Window 0s: must be above 0 and at most 8784h0m0s`:                                           limits.Rate("r", 1, 0),
		`limit "r": Window -1ns: must be above 0`:                                                               limits.Rate("r", 1, -1),
		`limit "r": Algorithm "cubic": must be one of sliding_window, fixed_window, token_bucket, leaky_bucket`: limits.Rate("r", 1, 1).By("cubic"),
		`limit "r": Burst 2: must be 0 unless the algorithm is token_bucket or gcra`:                            limits.Rate("r", 1, 1).WithBurst(2),
		`limit "r": Burst 0.5: must be from 1 to 1000000000000, or 0 for the capacity`:                          limits.Rate("r", 1, 1).By(limits.GCRA).WithBurst(0.5),
		`limit "c": Window 1s: must be 0 for a resource, which is no rate`:                                      {Name: "c", Kind: limits.KindResource, Capacity: 1, Window: time.Second},
		`limit "c": Algorithm "gcra": must be empty for a resource`:                                             limits.Resource("c", 1).By(limits.GCRA),
		`limit "x": Kind "": must be resource, rate or calls`:                                                   {Name: "x", Capacity: 1},
		`limit "r": PerAttempt true: must be false unless the kind is calls`:                                    limits.Rate("r", 1, 1).EachAttempt(),
		`limit "good": must not stand twice in a set`:                                                           limits.Resource("good", 2),
	} {
		_, err := limits.New(good, l)
		require.ErrorContains(t, err, want)
		var field *limits.FieldError
		require.ErrorAs(t, err, &field)
		assert.Panics(t, func() { limits.MustNew(good, l) })
		_, err = limits.NewKeyed(good, l)
		require.ErrorContains(t, err, want)
	}
	_, err := limits.New()
	require.EqualError(t, err, `limits "none": must be at least one`)
	_, err = limits.New(limits.Resource("a", 0), limits.Rate("b", 1, 0))
	require.ErrorContains(t, err, `limit "a"`)
	require.ErrorContains(t, err, `limit "b"`, "all of them at once")
}

func TestBadUnitsAreNamedAtOnceAndNothingIsAcquired(t *testing.T) {
	t.Parallel()
	s := limits.MustNew(limits.Resource("connections", 2), limits.Rate("tokens", 10, time.Hour), limits.Calls(5, time.Hour))
	for want, units := range map[string]limits.Units{
		`limits: units of "conections" 1: no such limit; there are connections, tokens`:        {"conections": 1, "tokens": 1},
		`limits: units of "connections" 0: must be from 1 to 2`:                                {"connections": 0, "tokens": 1},
		`limits: units of "connections" -1: must be from 1 to 2`:                               {"connections": -1},
		`limits: units of "connections" 3: must be from 1 to 2, which is all there ever is`:    {"connections": 3},
		`limits: units of "tokens" 11: must be from 1 to 10, which is all there ever is`:       {"connections": 1, "tokens": 11},
		`limits: units of "calls" 1: must not be named: every acquisition takes one by itself`: {"calls": 1},
	} {
		for name, acquire := range map[string]func() (limits.Lease, error){
			"Acquire":    func() (limits.Lease, error) { return s.Acquire(t.Context(), units) },
			"TryAcquire": func() (limits.Lease, error) { return s.TryAcquire(units) },
		} {
			lease, err := acquire()
			require.EqualError(t, err, want, name)
			assert.Equal(t, limits.Lease{}, lease)
		}
	}
	plain := limits.MustNew(limits.Resource("connections", 2))
	_, err := plain.Acquire(t.Context(), nil)
	require.EqualError(t, err, `limits: units of "connections" 0: must name something to acquire: connections`)
	for _, u := range s.Snapshot().Limits {
		assert.Zero(t, u.InUse, u.Name)
	}
}

// The same while others wait, when nobody would look at the request otherwise.
func TestBadUnitsAreNamedAtOnceBehindAQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := limits.MustNew(limits.Resource("c", 1))
		held, err := s.Acquire(t.Context(), limits.Units{"c": 1})
		require.NoError(t, err)
		go func() {
			lease, err := s.Acquire(t.Context(), limits.Units{"c": 1})
			assert.NoError(t, err)
			lease.Release()
		}()
		synctest.Wait()
		var wrong *limits.UnitsError
		_, err = s.Acquire(t.Context(), limits.Units{"c": 2})
		require.ErrorAs(t, err, &wrong)
		_, err = s.TryAcquire(limits.Units{"d": 1})
		require.ErrorAs(t, err, &wrong)
		_, err = s.TryAcquire(limits.Units{"c": 1})
		require.ErrorIs(t, err, limits.ErrNoRoom)
		held.Release()
		synctest.Wait()
	})
}

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
	for _, a := range []limits.Algorithm{limits.SlidingWindow, limits.FixedWindow, limits.TokenBucket, limits.GCRA, limits.LeakyBucket} {
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
					limits.SlidingWindow: {s0, s0, s0, 3 * s1, 3 * s1, 3 * s1, 6 * s1},
					limits.FixedWindow:   {s0, s0, s0, 3 * s1, 3 * s1, 3 * s1, 6 * s1},
					limits.TokenBucket:   {s0, s0, s0, s1, 2 * s1, 3 * s1, 4 * s1},
					limits.GCRA:          {s0, s0, s0, s1, 2 * s1, 3 * s1, 4 * s1},
					limits.LeakyBucket:   {s0, s1, 2 * s1, 3 * s1, 4 * s1, 5 * s1, 6 * s1},
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
			s := limits.MustNew(limits.Rate("r", perSecond, time.Second).By(limits.LeakyBucket))
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

// concurry's set hides the error of work that ends before it has told its
// usage, and never gives the resources of the set back.
func TestWorkThatErrsBeforeUseKeepsItsErrorAndLeaksNothing(t *testing.T) {
	t.Parallel()
	s := limits.MustNew(limits.Resource("connections", 1), limits.Rate("tokens", 100, time.Hour))
	errDown := errors.New("service down")
	work := func() error {
		lease, err := s.Acquire(t.Context(), limits.Units{"connections": 1, "tokens": 40})
		if err != nil {
			return err
		}
		defer lease.Release()
		return errDown // before lease.Use
	}
	require.Equal(t, errDown, work())
	require.Equal(t, errDown, work(), "the connection is free again")
	s2 := s.Snapshot()
	assert.Zero(t, s2.Limits[0].InUse)
	assert.InDelta(t, 80, s2.Limits[1].InUse, 0, "charged with what it asked for")
}

func TestUseGivesBackWhatWasNotUsedAndChargesWhatWas(t *testing.T) {
	t.Parallel()
	for _, a := range []limits.Algorithm{limits.SlidingWindow, limits.FixedWindow, limits.TokenBucket, limits.GCRA, limits.LeakyBucket} {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := limits.MustNew(limits.Rate("tokens", 100, 100*time.Second).By(a), limits.Resource("connections", 2))
				used := func() float64 { return s.Snapshot().Limits[0].InUse }
				lease, err := s.Acquire(t.Context(), limits.Units{"tokens": 60, "connections": 1})
				require.NoError(t, err)
				require.NoError(t, lease.Use(limits.Units{"tokens": 10, "connections": 1}))
				assert.InDelta(t, 10, used(), 1e-6, "50 are given back")
				require.NoError(t, lease.Use(limits.Units{"tokens": 90}))
				assert.InDelta(t, 90, used(), 1e-6, "30 more than acquired")
				require.NoError(t, lease.Use(limits.Units{"tokens": 0}))
				assert.InDelta(t, 0, used(), 1e-6)
				require.NoError(t, lease.Use(limits.Units{"tokens": 150}))
				assert.InDelta(t, 150, used(), 1e-6, "beyond the capacity")
				assert.InDelta(t, 1.5, s.Snapshot().Limits[0].Utilization, 1e-6)
				assert.Zero(t, s.Snapshot().Limits[0].Available)
				lease.Release()
				assert.InDelta(t, 150, used(), 1e-6, "and stays charged")
				begin := time.Now()
				_, err = s.Acquire(t.Context(), limits.Units{"tokens": 1})
				require.NoError(t, err)
				assert.Greater(t, time.Since(begin), 50*time.Second, "later requests wait for it")
			})
		})
	}
}

func TestUseThatIsWrongIsNamedAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := limits.MustNew(limits.Resource("connections", 2), limits.Rate("tokens", 100, time.Hour), limits.Calls(9, time.Hour))
	lease, err := s.Acquire(t.Context(), limits.Units{"connections": 1, "tokens": 5})
	require.NoError(t, err)
	for want, used := range map[string]limits.Units{
		`limits: units of "connections" 2: must be from 0 to 1, which the lease holds`: {"tokens": 1, "connections": 2},
		`limits: units of "tokens" -1: must be from 0 to 1000000000000`:                {"tokens": -1},
		`limits: units of "token" 1: no such limit; there are connections, tokens`:     {"tokens": 1, "token": 1},
		`limits: units of "calls" 1: must not be named: a call is one`:                 {"calls": 1},
	} {
		require.EqualError(t, lease.Use(used), want)
	}
	assert.Equal(t, limits.Units{"connections": 1, "tokens": 5, "calls": 1}, lease.Units())
	lease.Release()
	require.ErrorIs(t, lease.Use(limits.Units{"tokens": 1}), limits.ErrReleased)
	assert.Nil(t, lease.Units())
	require.NoError(t, limits.Lease{}.Use(limits.Units{"tokens": 1}), "where there are no limits")
}

func TestUsageOfWhatWasNotAcquiredIsCharged(t *testing.T) {
	t.Parallel()
	s := limits.MustNew(limits.Resource("connections", 2), limits.Rate("tokens", 100, time.Hour))
	lease, err := s.Acquire(t.Context(), limits.Units{"connections": 1})
	require.NoError(t, err)
	require.NoError(t, lease.Use(limits.Units{"tokens": 70}))
	require.NoError(t, lease.Use(limits.Units{"tokens": 80}))
	assert.InDelta(t, 80, s.Snapshot().Limits[1].InUse, 0)
}

func TestLeaseIsReleasedOnceWhoeverHasACopy(t *testing.T) {
	t.Parallel()
	s := limits.MustNew(limits.Resource("c", 2))
	first, err := s.Acquire(t.Context(), limits.Units{"c": 2})
	require.NoError(t, err)
	again := first
	first.Release()
	second, err := s.Acquire(t.Context(), limits.Units{"c": 2}) // takes the same entry of the table
	require.NoError(t, err)
	again.Release()
	assert.InDelta(t, 2, s.Snapshot().Limits[0].InUse, 0)
	second.Release()
	assert.Zero(t, s.Snapshot().Limits[0].InUse)
	limits.Lease{}.Release()
}

func TestLeasesContextEndsWithTheLease(t *testing.T) {
	t.Parallel()
	s := limits.MustNew(limits.Resource("c", 2))
	lease, err := s.Acquire(t.Context(), limits.Units{"c": 1})
	require.NoError(t, err)
	type key struct{}
	parent := context.WithValue(t.Context(), key{}, "value")
	ctx := lease.Context(parent)
	assert.Equal(t, "value", ctx.Value(key{}))
	require.NoError(t, ctx.Err())
	lease.Release()
	require.ErrorIs(t, context.Cause(ctx), limits.ErrReleased)
	require.ErrorIs(t, context.Cause(lease.Context(parent)), limits.ErrReleased)
}

// A method may be called where there are no limits: what it does with what it
// holds does nothing, and ends nothing.
func TestZeroLeaseHoldsNothingAndEndsNothing(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithCancel(t.Context())
	held := limits.Held(parent)
	require.NoError(t, held.Use(limits.Units{"tokens": 5}))
	assert.Nil(t, held.Units())
	ctx := held.Context(parent)
	require.NoError(t, ctx.Err())
	held.Release()
	held.Undo()
	require.NoError(t, ctx.Err())
	require.NoError(t, held.Context(parent).Err())
	cancel()
	require.ErrorIs(t, ctx.Err(), context.Canceled)
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
		s := limits.MustNew(limits.Resource("c", 2), limits.Rate("r", 2, time.Minute).By(limits.TokenBucket))
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
		s := limits.MustNew(limits.Rate("r", 2.5, time.Second).By(limits.GCRA))
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

func TestDeclarationsAreSources(t *testing.T) {
	t.Parallel()
	c, r := limits.Resource("c", 2), limits.Rate("r", 5, time.Second)
	set := limits.MustNew(c, r)
	pool, err := limits.NewPool(limits.Member{Set: limits.MustNew(limits.Resource("c", 1), r)}, limits.Member{Set: set})
	require.NoError(t, err)
	for name, source := range map[string]limits.Source{
		"declaration": limits.PerSessionOrWorker(c, r), "set": set, "keyed": limits.MustNewKeyed(c, r), "pool": pool,
	} {
		require.NoError(t, sourceOf(source).CheckUnits(nil), name)
		require.NoError(t, sourceOf(source).CheckUnits(limits.Units{"c": 2, "r": 5}), name)
		require.Error(t, sourceOf(source).CheckUnits(limits.Units{"c": 3}), name)
		require.Error(t, sourceOf(source).CheckUnits(limits.Units{"d": 1}), name)
		assert.False(t, sourceOf(source).ChargesCalls(), name)
	}
	calls := limits.Calls(1, time.Second)
	pool, err = limits.NewPool(limits.Member{Set: limits.MustNew(calls)})
	require.NoError(t, err)
	for _, source := range []limits.Source{limits.PerWorker(c, calls), limits.MustNew(c, calls), limits.MustNewKeyed(calls), pool} {
		assert.True(t, sourceOf(source).ChargesCalls())
	}
	require.ErrorContains(t, limits.PerSession(limits.Resource("c", 0)).Check(), `limit "c": Capacity 0`)
	require.ErrorContains(t, sourceOf(limits.PerSession(limits.Resource("c", 0))).CheckUnits(limits.Units{"c": 1}), `limit "c": Capacity 0`)
	_, err = limits.PerSessionOrWorker().InProcess()
	require.ErrorContains(t, err, "must be at least one")

	d := limits.PerSessionOrWorker(c)
	assert.Equal(t, limits.ScopeSessionOrWorker, d.Scope())
	assert.Equal(t, []limits.Limit{c}, d.Limits())
	first, err := d.InProcess()
	require.NoError(t, err)
	again, err := d.InProcess()
	require.NoError(t, err)
	assert.Same(t, first, again)
	own, err := sourceOf(d).OpenSets(limitengine.Clock{})
	require.NoError(t, err)
	assert.NotSame(t, first, own)
}
