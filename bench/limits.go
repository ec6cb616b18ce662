package main

import (
	"context"
	"fmt"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/concurry-go/concurry/limits"
)

const (
	semaphores  = "x/sync semaphore"
	xTimeAllow  = "x/time/rate Allow"
	xTimeWait   = "x/time/rate Wait"
	clockRead   = "a read of the clock"
	unreachable = 1e9 // units per second, more than anybody takes: nobody waits
)

// limiter is one way to acquire and release n times, one after the other.
type limiter struct {
	name string
	run  func(n int) error
}

func limitRows() []row {
	noAllocations := demand{figure: "allocations", limit: 0}
	rows := []row{{
		name:    "limit-resource",
		about:   "acquire and release one of 8, nobody else does",
		demands: []demand{noAllocations, {figure: "time / " + semaphores, limit: 2, unit: "x"}},
		measure: func(_ context.Context, e *effort) (*result, error) { return resourceRow(e) },
	}}
	for _, a := range []limits.Algorithm{limits.AlgorithmTokenBucket, limits.AlgorithmGCRA, limits.AlgorithmLeakyBucket, limits.AlgorithmSlidingWindow, limits.AlgorithmFixedWindow} {
		rows = append(rows, row{
			name:  "limit-rate/" + string(a),
			about: "acquire one unit of a rate that has room, nobody else does",
			demands: []demand{
				noAllocations,
				{figure: "time / (2 semaphores + clock)", limit: 1, unit: "x"},
				{figure: "time / " + xTimeAllow, limit: 1, unit: "x"},
				{figure: "time / " + xTimeWait, limit: 1, unit: "x"},
			},
			measure: func(_ context.Context, e *effort) (*result, error) { return rateRow(e, a) },
		})
	}
	return append(rows, row{
		name:    "limit-set",
		about:   "acquire a connection, 3 tokens and a call together, and release them; beside three sets of one limit",
		demands: []demand{noAllocations, {figure: "time / sum of its parts", limit: 2, unit: "x"}},
		measure: func(_ context.Context, e *effort) (*result, error) { return setRow(e) },
	}, contendedRow(1), contendedRow(8), waitersRow())
}

// unit is made once, as the engine does it for a method's units.
var unit = limits.Units{"units": 1}

// acquired acquires by a function and releases, n times.
func acquired(acquire func() (limits.Lease, error)) func(n int) error {
	return func(n int) error {
		for range n {
			lease, err := acquire()
			if err != nil {
				return err
			}
			lease.Release()
		}
		return nil
	}
}

func semaphored(size int64) func(n int) error {
	ctx := context.Background()
	s := semaphore.NewWeighted(size)
	return func(n int) error {
		for range n {
			if err := s.Acquire(ctx, 1); err != nil {
				return err
			}
			s.Release(1)
		}
		return nil
	}
}

// counted turns a limiter that answers at once into one of a race.
func counted(try func() bool) func(n int) error {
	return func(n int) error {
		for i := range n {
			if !try() {
				return fmt.Errorf("refused at %d of %d, although there is room", i+1, n)
			}
		}
		return nil
	}
}

// timed races limiters and notes their times.
func timed(e *effort, all ...limiter) (*interleaved, *result, error) {
	var failed error
	var contestants []contestant
	for _, l := range all {
		contestants = append(contestants, contestant{l.name, func(n int) {
			if err := l.run(n); err != nil && failed == nil {
				failed = fmt.Errorf("%s: %w", l.name, err)
			}
		}})
	}
	t := race(e, contestants...)
	r := &result{}
	for _, c := range contestants {
		r.set(c.name, t.of(c.name), "ns")
	}
	return t, r, failed
}

// allocates notes the allocations of one operation.
func (r *result) allocates(l limiter) {
	r.set("allocations", allocations(func(n int) { _ = l.run(n) }), "")
}

func resourceRow(e *effort) (*result, error) {
	ctx := context.Background()
	set := limits.MustNew(limits.Resource("units", 8))
	head := bulkhead.New[any](8)
	own := limiter{ours, acquired(func() (limits.Lease, error) { return set.Acquire(ctx, unit) })}
	t, r, err := timed(e, own,
		limiter{"with units written in place", acquired(func() (limits.Lease, error) {
			return set.Acquire(ctx, limits.Units{"units": 1})
		})},
		limiter{semaphores, semaphored(8)},
		limiter{"failsafe-go bulkhead", func(n int) error {
			for range n {
				if err := head.AcquirePermit(ctx); err != nil {
					return err
				}
				head.ReleasePermit()
			}
			return nil
		}},
	)
	if err != nil {
		return nil, err
	}
	r.allocates(own)
	r.set("time / "+semaphores, t.ratio(ours, semaphores), "x")
	r.set("time / failsafe-go bulkhead", t.ratio(ours, "failsafe-go bulkhead"), "x")
	return r, nil
}

func rateRow(e *effort, a limits.Algorithm) (*result, error) {
	ctx := context.Background()
	// A window of a millisecond keeps the sliding window's log as long as that
	// of a busy rate.
	set := limits.MustNew(limits.Rate("units", unreachable/1000, time.Millisecond).By(a))
	allow := rate.NewLimiter(unreachable, unreachable)
	wait := rate.NewLimiter(unreachable, unreachable)
	bursty := ratelimiter.NewBursty[any](unreachable, time.Second)
	base := time.Now()
	own := limiter{ours, acquired(func() (limits.Lease, error) { return set.Acquire(ctx, unit) })}
	t, r, err := timed(e, own,
		limiter{xTimeAllow, counted(allow.Allow)},
		limiter{xTimeWait, func(n int) error {
			for range n {
				if err := wait.Wait(ctx); err != nil {
					return err
				}
			}
			return nil
		}},
		limiter{"failsafe-go rate limiter", counted(bursty.TryAcquirePermit)},
		limiter{semaphores, semaphored(8)},
		limiter{clockRead, counted(func() bool { return time.Since(base) > 0 })},
	)
	if err != nil {
		return nil, err
	}
	r.allocates(own)
	allowed := pairwise(t.times(semaphores), t.times(clockRead), func(s, c float64) float64 { return 2*s + c })
	r.set("time / (2 semaphores + clock)", median(pairwise(t.times(ours), allowed, func(x, y float64) float64 { return x / y })), "x")
	for _, peer := range []string{xTimeAllow, xTimeWait, "failsafe-go rate limiter"} {
		r.set("time / "+peer, t.ratio(ours, peer), "x")
	}
	return r, nil
}

// setRow has a set of three limits and a set for each of them.
func setRow(e *effort) (*result, error) {
	ctx := context.Background()
	connections := limits.Resource("connections", 8)
	tokens := limits.Rate("tokens", unreachable, time.Second).By(limits.AlgorithmTokenBucket)
	calls := limits.Calls(unreachable, time.Second).By(limits.AlgorithmGCRA)
	three := limits.MustNew(connections, tokens, calls)
	each := []*limits.Set{limits.MustNew(connections), limits.MustNew(tokens), limits.MustNew(calls)}
	connection, token := limits.Units{"connections": 1}, limits.Units{"tokens": 3}
	units := limits.Units{"connections": 1, "tokens": 3}
	parts := []string{"connections alone", "tokens alone", "calls alone"}
	own := limiter{ours, acquired(func() (limits.Lease, error) { return three.Acquire(ctx, units) })}
	t, r, err := timed(e, own,
		limiter{parts[0], acquired(func() (limits.Lease, error) { return each[0].Acquire(ctx, connection) })},
		limiter{parts[1], acquired(func() (limits.Lease, error) { return each[1].Acquire(ctx, token) })},
		limiter{parts[2], acquired(func() (limits.Lease, error) { return each[2].Acquire(ctx, nil) })},
	)
	if err != nil {
		return nil, err
	}
	r.allocates(own)
	sum := make([]float64, len(t.times(ours)))
	for _, p := range parts {
		sum = pairwise(sum, t.times(p), func(x, y float64) float64 { return x + y })
	}
	r.set("time / sum of its parts", median(pairwise(t.times(ours), sum, func(x, y float64) float64 { return x / y })), "x")
	return r, nil
}
