package limits

import (
	"context"
	"errors"
	"time"

	"github.com/concurry-go/concurry/internal/limitengine"
)

// The engine's side of what this package makes. Each type is a pointer in a struct,
// so that making an interface of it allocates nothing.
type (
	declarationEngine struct{ d *Declaration }
	keyedEngine       struct{ k *Keyed }
	setEngine         struct{ s *Set }
	poolEngine        struct{ p *Pool }
)

var errNotDeclared = errors.New("limits: only a declaration opens sets")

// EngineSource implements [Source].
func (d *Declaration) EngineSource(limitengine.Access) limitengine.Source[Sets] {
	return declarationEngine{d}
}

// CheckUnits implements limitengine.Source.
func (e declarationEngine) CheckUnits(units map[string]int) error {
	if err := e.d.Check(); err != nil {
		return err
	}
	return newSet(Clock{}, e.d.limits).checkUnits(units)
}

// ChargesCalls implements limitengine.Source.
func (e declarationEngine) ChargesCalls() bool { return chargesCalls(e.d.limits) }

// OpenSets implements limitengine.Source.
func (e declarationEngine) OpenSets(clock limitengine.Clock) (Sets, error) {
	k, err := e.d.open(Clock(clock))
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Close implements limitengine.Source.
func (declarationEngine) Close(error) {}

// Follow implements limitengine.Source. Sets of a declaration are opened with a clock.
func (declarationEngine) Follow(*limitengine.Clock) bool { return true }

// Unfollow implements limitengine.Source.
func (declarationEngine) Unfollow(*limitengine.Clock) {}

// EngineSource implements [Source].
func (k *Keyed) EngineSource(limitengine.Access) limitengine.Source[Sets] { return keyedEngine{k} }

// CheckUnits implements limitengine.Source.
func (e keyedEngine) CheckUnits(units map[string]int) error {
	e.k.mu.Lock()
	s := newSetBy(e.k.timing, e.k.limits)
	e.k.mu.Unlock()
	return s.checkUnits(units)
}

// ChargesCalls implements limitengine.Source.
func (e keyedEngine) ChargesCalls() bool {
	e.k.mu.Lock()
	defer e.k.mu.Unlock()
	return chargesCalls(e.k.limits)
}

// OpenSets implements limitengine.Source.
func (keyedEngine) OpenSets(limitengine.Clock) (Sets, error) { return nil, errNotDeclared }

// Close implements limitengine.Source.
func (e keyedEngine) Close(cause error) { e.k.Close(cause) }

// Follow implements limitengine.Source.
func (e keyedEngine) Follow(c *limitengine.Clock) bool { return follow(c, e.k) }

// Unfollow implements limitengine.Source.
func (e keyedEngine) Unfollow(c *limitengine.Clock) { unfollow(c, e.k) }

// EngineSource implements [Source].
func (o ofKey) EngineSource(limitengine.Access) limitengine.Source[Sets] {
	return keyedEngine{o.keyed}
}

// EngineLimiter implements [Limiter].
func (o ofKey) EngineLimiter(limitengine.Access) limitengine.Limiter[Lease] { return keyEngine{o} }

// keyEngine is the engine's side of one key.
type keyEngine struct{ of ofKey }

// Acquire implements limitengine.Limiter.
func (e keyEngine) Acquire(ctx context.Context, units map[string]int, charge limitengine.Charge) (Lease, error) {
	return e.of.acquire(ctx, units, charge)
}

// TryAcquire implements limitengine.Limiter.
func (e keyEngine) TryAcquire(units map[string]int, charge limitengine.Charge) (Lease, error) {
	return e.of.tryAcquire(units, charge)
}

// OpenLease implements limitengine.Limiter.
func (e keyEngine) OpenLease() (Lease, error) { return e.of.keyed.with(e.of.key, (*Set).openLease) }

// Within implements limitengine.Limiter.
func (e keyEngine) Within(ctx context.Context, held Lease) (context.Context, func()) {
	return within(ctx, e.of, held)
}

// Lose implements limitengine.Limiter.
func (keyEngine) Lose(lease Lease, cause error) { lease.lose(cause) }

// Forecast implements limitengine.Limiter.
func (e keyEngine) Forecast(requests []limitengine.Request) time.Duration {
	var in time.Duration
	_, _ = e.of.keyed.with(e.of.key, func(s *Set) (Lease, error) { // an error is of a closed set
		in = forecast(requests, s.future())
		return Lease{}, nil
	})
	return in
}

// EngineSource implements [Source].
func (s *Set) EngineSource(limitengine.Access) limitengine.Source[Sets] { return setEngine{s} }

// EngineLimiter implements [Limiter].
func (s *Set) EngineLimiter(limitengine.Access) limitengine.Limiter[Lease] { return setEngine{s} }

// CheckUnits implements limitengine.Source.
func (e setEngine) CheckUnits(units map[string]int) error { return e.s.checkUnits(units) }

// ChargesCalls implements limitengine.Source.
func (e setEngine) ChargesCalls() bool { return e.s.charges > 0 }

// OpenSets implements limitengine.Source.
func (setEngine) OpenSets(limitengine.Clock) (Sets, error) { return nil, errNotDeclared }

// Close implements limitengine.Source.
func (e setEngine) Close(cause error) { e.s.Close(cause) }

// Follow implements limitengine.Source.
func (e setEngine) Follow(c *limitengine.Clock) bool { return follow(c, e.s) }

// Unfollow implements limitengine.Source.
func (e setEngine) Unfollow(c *limitengine.Clock) { unfollow(c, e.s) }

// Acquire implements limitengine.Limiter.
func (e setEngine) Acquire(ctx context.Context, units map[string]int, charge limitengine.Charge) (Lease, error) {
	return e.s.acquire(ctx, units, charge)
}

// TryAcquire implements limitengine.Limiter.
func (e setEngine) TryAcquire(units map[string]int, charge limitengine.Charge) (Lease, error) {
	return e.s.tryAcquire(units, charge)
}

// OpenLease implements limitengine.Limiter.
func (e setEngine) OpenLease() (Lease, error) { return e.s.openLease() }

// Within implements limitengine.Limiter.
func (e setEngine) Within(ctx context.Context, held Lease) (context.Context, func()) {
	return within(ctx, e.s, held)
}

// Lose implements limitengine.Limiter.
func (setEngine) Lose(lease Lease, cause error) { lease.lose(cause) }

// Forecast implements limitengine.Limiter.
func (e setEngine) Forecast(requests []limitengine.Request) time.Duration {
	return forecast(requests, e.s.future())
}

// EngineSource implements [Source].
func (p *Pool) EngineSource(limitengine.Access) limitengine.Source[Sets] { return poolEngine{p} }

// EngineLimiter implements [Limiter].
func (p *Pool) EngineLimiter(limitengine.Access) limitengine.Limiter[Lease] { return poolEngine{p} }

// CheckUnits implements limitengine.Source: one member that can grant them is enough.
func (e poolEngine) CheckUnits(units map[string]int) error { return e.p.checkUnits(units) }

// ChargesCalls implements limitengine.Source.
func (e poolEngine) ChargesCalls() bool {
	for _, m := range e.p.members {
		if m.Set.charges > 0 {
			return true
		}
	}
	return false
}

// OpenSets implements limitengine.Source.
func (poolEngine) OpenSets(limitengine.Clock) (Sets, error) { return nil, errNotDeclared }

// Close implements limitengine.Source.
func (e poolEngine) Close(cause error) {
	for _, m := range e.p.members {
		m.Set.Close(cause)
	}
}

// Follow implements limitengine.Source.
func (e poolEngine) Follow(c *limitengine.Clock) bool { return follow(c, e.p.followers()...) }

// Unfollow implements limitengine.Source.
func (e poolEngine) Unfollow(c *limitengine.Clock) { unfollow(c, e.p.followers()...) }

// Acquire implements limitengine.Limiter.
func (e poolEngine) Acquire(ctx context.Context, units map[string]int, charge limitengine.Charge) (Lease, error) {
	return e.p.acquire(ctx, units, charge)
}

// TryAcquire implements limitengine.Limiter.
func (e poolEngine) TryAcquire(units map[string]int, charge limitengine.Charge) (Lease, error) {
	return e.p.tryAcquire(units, charge)
}

// OpenLease implements limitengine.Limiter.
func (poolEngine) OpenLease() (Lease, error) { return Lease{}, nil }

// Within implements limitengine.Limiter.
func (e poolEngine) Within(ctx context.Context, held Lease) (context.Context, func()) {
	return within(ctx, e.p, held)
}

// Lose implements limitengine.Limiter.
func (poolEngine) Lose(lease Lease, cause error) { lease.lose(cause) }

// Forecast implements limitengine.Limiter.
func (e poolEngine) Forecast(requests []limitengine.Request) time.Duration {
	futures := make([]*future, len(e.p.members))
	for i, m := range e.p.members {
		futures[i] = m.Set.future()
	}
	return forecast(requests, futures...)
}

func chargesCalls(limits []Limit) bool {
	for _, l := range limits {
		if l.Kind == KindCalls {
			return true
		}
	}
	return false
}
