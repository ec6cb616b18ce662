package limits_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
		`limit "r": Burst 0.5: must be from 1 to 1000000000000, or 0 for the capacity`:                          limits.Rate("r", 1, 1).By(limits.AlgorithmGCRA).WithBurst(0.5),
		`limit "c": Window 1s: must be 0 for a resource, which is no rate`:                                      {Name: "c", Kind: limits.KindResource, Capacity: 1, Window: time.Second},
		`limit "c": Algorithm "gcra": must be empty for a resource`:                                             limits.Resource("c", 1).By(limits.AlgorithmGCRA),
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
