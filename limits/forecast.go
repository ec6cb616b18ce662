package limits

import (
	"math"
	"slices"
	"time"

	"github.com/concurry-go/concurry/internal/limitengine"
)

// forecast returns how long it takes until the rates of one of the sets have room for
// the last of some requests; see limitengine.Limiter.
func forecast(requests []limitengine.Request, futures ...*future) time.Duration {
	in := int64(0)
	for _, r := range requests {
		if at := serve(futures, r, in); at < math.MaxInt64 {
			in = at
		}
	}
	return time.Duration(in)
}

// serve serves a request, at the earliest after a time, and returns when; MaxInt64
// for never.
func serve(futures []*future, r limitengine.Request, after int64) int64 {
	var by *future
	first := int64(math.MaxInt64)
	for _, f := range futures {
		if in := f.readyIn(r, after); in < first {
			by, first = f, in
		}
	}
	if by != nil {
		by.take(first)
	}
	return first
}

// future is a copy of a set's rates, moved ahead in time.
type future struct {
	set    *Set
	limits []bound
	now    int64
	grant  *grant // the request that is looked at
}

func (s *Set) future() *future {
	s.lock()
	defer s.unlock()
	f := &future{set: s, limits: slices.Clone(s.limits), now: s.now(), grant: s.makeGrant()}
	for i := range f.limits {
		if m := f.limits[i].meter; m != nil {
			f.limits[i].meter = m.clone()
		}
	}
	return f
}

// readyIn is when there is room for r, at the earliest after a time; MaxInt64 for
// never.
func (f *future) readyIn(r limitengine.Request, after int64) int64 {
	if err := f.set.ask(Units(r.Units), r.Charge, f.grant); err != nil {
		return math.MaxInt64
	}
	at := f.now + after
	for i := range f.limits {
		l, n := &f.limits[i], f.grant.amounts[i].units
		switch {
		case n == 0:
		case n > l.max:
			return math.MaxInt64
		case l.meter != nil:
			at = max(at, l.meter.when(at, n))
		}
	}
	return at - f.now
}

// take charges the request that was looked at last.
func (f *future) take(in int64) {
	for i := range f.limits {
		a := &f.grant.amounts[i]
		if m := f.limits[i].meter; m != nil && a.units > 0 {
			m.take(f.now+in, a, a.units)
		}
	}
}
