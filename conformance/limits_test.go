package conformance_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
)

// limited makes a call's attempts require units of a source.
func limited(source limits.Source, requires limits.Units) func(*activity.Options) {
	return func(o *activity.Options) { o.Limits, o.Requires = source, requires }
}

// usage is what is in use of each limit of a set.
func usage(set *limits.Set) map[string]float64 {
	all := map[string]float64{}
	for _, l := range set.Snapshot().Limits {
		all[l.Name] = l.InUse
	}
	return all
}

func TestIntegrationWithLimits(t *testing.T) {
	under(t, "Integration with Limits")
	everywhere(t, "limits are released and reacquired between attempts", "`Options.Limits`, `MethodOptions.Requires`", func(t *testing.T, e Engine) {
		set := limits.MustNew(limits.Resource("connections", 5))
		var held, between []float64
		o := call{
			policy: retrypolicy.Policy{NumRetries: 2},
			anew:   func(*call) { held, between = nil, nil },
			body: func(context.Context, int, string) (Reply, error) {
				held = append(held, usage(set)["connections"])
				return Reply{}, errConnection
			},
			tune: func(o *activity.Options) {
				o.Limits, o.Requires = set, limits.Units{"connections": 2}
				o.Observers = append(o.Observers, func(context.Context, retrypolicy.Event) {
					between = append(between, usage(set)["connections"])
				})
			},
		}.run(t, e)
		require.Error(t, o.err)
		assert.Equal(t, []float64{2, 2, 2}, held)
		assert.Equal(t, []float64{0, 0, 0}, between)
	})
}

func TestResourceLimitsWithRetry(t *testing.T) {
	under(t, "Resource Limits with Retry")
	block(t, "`limits.PerWorker(limits.Resource(\"connections\", 5))`; `limits.Acquire(ctx, …)` in the method", Example_resourceLimits)
	everywhere(t, "acquired before the method executes", "`MethodOptions.Requires`, or `Options.Requires` for all methods", func(t *testing.T, e Engine) {
		set := limits.MustNew(limits.Resource("connections", 1))
		o := call{tune: limited(set, limits.Units{"connections": 1}), body: func(context.Context, int, string) (Reply, error) {
			_, err := set.TryAcquire(limits.Units{"connections": 1})
			return Reply{}, err
		}}.run(t, e)
		require.ErrorContains(t, o.err, "no room", "the attempt has the only one")
	})
	everywhere(t, "released before the wait, reacquired for the next attempt", "whatever the method returned, or panicked with", func(t *testing.T, e Engine) {
		set := limits.MustNew(limits.Resource("connections", 1))
		o := call{
			policy: retrypolicy.Policy{NumRetries: 3}, tune: limited(set, nil),
			body: func(ctx context.Context, n int, _ string) (Reply, error) {
				if _, err := limits.Acquire(ctx, limits.Units{"connections": 1}); err != nil {
					return Reply{}, err
				}
				switch n { // nothing is released by the method
				case 1:
					return Reply{}, errConnection
				case 2:
					panic("out of cheese")
				}
				return Reply{Text: strconv.Itoa(n)}, nil
			},
		}.run(t, e)
		require.NoError(t, o.err)
		assert.Equal(t, "3", o.reply.Text)
	})
	everywhere(t, "released when the call ends, with a result or an error", "nothing leaks", func(t *testing.T, e Engine) {
		for _, body := range []func(context.Context, int, string) (Reply, error){says(Reply{}), fails(errConnection)} {
			set := limits.MustNew(limits.Resource("connections", 1))
			call{policy: retrypolicy.Policy{NumRetries: 1}, tune: limited(set, limits.Units{"connections": 1}), body: body}.run(t, e)
			assert.Zero(t, usage(set)["connections"])
			assert.Zero(t, set.Snapshot().Leases)
		}
	})
	everywhere(t, "a method that fails before it reports usage keeps its own error", "`Lease.Use` is never owed; in concurry the missing report hides the error, and leaks", func(t *testing.T, e Engine) {
		set := limits.MustNew(limits.Rate("tokens", 1000, time.Hour))
		o := call{tune: limited(set, nil), body: func(ctx context.Context, _ int, _ string) (Reply, error) {
			lease, err := limits.Acquire(ctx, limits.Units{"tokens": 10})
			if err != nil {
				return Reply{}, err
			}
			defer lease.Release()
			return Reply{}, errBug
		}}.run(t, e)
		require.ErrorContains(t, o.err, errBug.Error())
		assert.Zero(t, set.Snapshot().Leases)
	})
}

func TestRateLimitsWithRetry(t *testing.T) {
	under(t, "Rate Limits with Retry")
	block(t, "`limits.Rate(\"requests\", 100, time.Minute)`; `.By(limits.AlgorithmTokenBucket)` and four others", Example_rateLimits)
	everywhere(t, "retries respect the rate limit", "each attempt takes its units, and waits for them", func(t *testing.T, e Engine) {
		const window = 300 * time.Millisecond
		o := call{
			policy: retrypolicy.Policy{NumRetries: 3},
			tune:   limited(limits.PerWorker(limits.Rate("requests", 2, window)), limits.Units{"requests": 1}),
			body:   fails(errConnection),
		}.run(t, e)
		require.ErrorContains(t, o.err, errConnection.Error())
		assert.Equal(t, 4, o.starts, "waiting for units is no attempt")
		assert.GreaterOrEqual(t, o.elapsed[2], window, "the third attempt waits for its units")
	})
	everywhere(t, "what was really used counts", "`Lease.Use`: the rest is given back, what is beyond counts too", func(t *testing.T, e Engine) {
		set := limits.MustNew(limits.Rate("tokens", 1000, time.Hour))
		o := call{tune: limited(set, nil), body: func(ctx context.Context, _ int, _ string) (Reply, error) {
			lease, err := limits.Acquire(ctx, limits.Units{"tokens": 500})
			if err != nil {
				return Reply{}, err
			}
			defer lease.Release()
			return Reply{}, lease.Use(limits.Units{"tokens": 120})
		}}.run(t, e)
		require.NoError(t, o.err)
		assert.InDelta(t, 120, usage(set)["tokens"], 0)
	})
}

func TestCallLimitsWithRetry(t *testing.T) {
	under(t, "Call Limits with Retry")
	block(t, "`limits.Calls(10, time.Second)`", Example_callLimits)
	everywhere(t, "retry attempts don't count against the call limit", "a call is charged once; `.EachAttempt()` for services that count requests", func(t *testing.T, e Engine) {
		set := limits.MustNew(limits.Calls(1, time.Hour))
		o := call{policy: retrypolicy.Policy{NumRetries: 3}, tune: limited(set, nil), body: fails(errConnection)}.run(t, e)
		require.ErrorContains(t, o.err, errConnection.Error())
		assert.Equal(t, 4, o.starts)
		assert.InDelta(t, 1, usage(set)[limits.CallsName], 0)
	})
	row(t, "ten calls a second, and not one more", "calls beyond wait for their turn, first come, first served", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			done := 0
			ping := activity.Func("Ping", func(context.Context, int) (int, error) { done++; return 0, nil },
				activity.FuncOptions[int, int]{Limits: limits.PerSessionOrWorker(limits.Calls(10, time.Second))})
			begin := time.Now()
			inline := ping.Inline()
			for range 25 {
				_, err := inline.Call(t.Context(), 0)
				require.NoError(t, err)
				assert.LessOrEqual(t, done, 10*(int(time.Since(begin)/time.Second)+1))
			}
			assert.Equal(t, 2*time.Second, time.Since(begin))
		})
	})
	everywhere(t, "a unit that nobody can ever have", "an error at once, which names the limit; concurry waits for ever", func(t *testing.T, e Engine) {
		set := limits.MustNew(limits.Resource("connections", 5))
		o := call{policy: retrypolicy.Policy{NumRetries: 3, RetryOn: []retrypolicy.Filter{retrypolicy.Not(retrypolicy.ErrorAs[*limits.UnitsError]())}}, tune: limited(set, nil), body: func(ctx context.Context, _ int, _ string) (Reply, error) {
			_, err := limits.Acquire(ctx, limits.Units{"connections": 6})
			return Reply{}, errors.Join(err)
		}}.run(t, e)
		require.ErrorContains(t, o.err, "connections")
		assert.Equal(t, 1, o.starts)
	})
}
