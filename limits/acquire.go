package limits

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/concurry-go/concurry/internal/limitengine"
)

// Acquire waits until all units can be taken at once, and takes them. Requests are served
// in the order in which they come. Each takes one unit of every call limit of the set;
// units must not name those.
//
// If ctx has ended, before the call or while the request is being served, Acquire takes
// nothing, whether there is room or not.
//
// Errors: a *[UnitsError], at once, for units that can never be granted; a *[WaitError] if
// ctx ends first; [ErrClosed]. With an error nothing is taken.
func (s *Set) Acquire(ctx context.Context, units Units) (Lease, error) {
	return s.acquire(ctx, units, limitengine.ChargeCalls)
}

// TryAcquire takes all units now, or returns [ErrNoRoom] if there is no room or a request
// waits. Its other errors are those of Acquire, except *[WaitError].
func (s *Set) TryAcquire(units Units) (Lease, error) {
	return s.tryAcquire(units, limitengine.ChargeCalls)
}

func (s *Set) tryAcquire(units Units, charge limitengine.Charge) (Lease, error) {
	g := s.newGrant()
	err := s.ask(units, charge, g)
	if err == nil {
		if s.takeQuickly(g) {
			return g.lease(), nil
		}
		s.lock()
		err = s.try(g)
		s.unlock()
	}
	if err != nil {
		s.grants.Put(g)
		return Lease{}, err
	}
	return g.lease(), nil
}

func (s *Set) acquire(ctx context.Context, units Units, charge limitengine.Charge) (Lease, error) {
	g := s.newGrant()
	if err := s.ask(units, charge, g); err != nil {
		s.grants.Put(g)
		return Lease{}, err
	}
	if ended(ctx) {
		err := s.refuse(ctx, g)
		s.grants.Put(g)
		return Lease{}, err
	}
	if s.takeQuickly(g) {
		return g.lease(), nil
	}
	var place *waiter
	if s.crowded.Load() { // so it will have to wait: what that takes is better made without the lock
		place = g.place(ctx)
	}
	s.lock()
	err := s.try(g)
	if err == ErrNoRoom && place == nil { //nolint:errorlint // nobody wraps it
		s.unlock()
		place = g.place(ctx)
		s.lock()
		err = s.try(g)
	}
	if err == ErrNoRoom { //nolint:errorlint // as above
		s.enqueue(place)
		s.unlock()
		return s.await(ctx, g)
	}
	s.unlock()
	if err != nil {
		s.grants.Put(g)
		return Lease{}, err
	}
	return g.lease(), nil
}

// ask writes a request into the amounts of g, or returns what is wrong with it. It reads
// nothing that changes, so it needs no lock.
func (s *Set) ask(units Units, charge limitengine.Charge, g *grant) error {
	if s.unlimited {
		return g.askAny(units)
	}
	amounts := g.amounts
	named, some := 0, false
	for i := range s.limits {
		l := &s.limits[i]
		n, ok := units[l.Name]
		switch {
		case l.calls && ok:
			return &UnitsError{Name: l.Name, Units: n, Allowed: "must not be named: every acquisition takes one by itself"}
		case l.calls:
			if charge == limitengine.ChargeCalls || charge == limitengine.ChargeAttempt && l.PerAttempt {
				n = 1
			}
		case ok:
			named++
			if n <= 0 {
				return &UnitsError{Name: l.Name, Units: n, Allowed: fmt.Sprintf("must be from 1 to %d", s.most(i))}
			}
		}
		amounts[i].units = int64(n)
		some = some || n > 0
	}
	if named != len(units) {
		return s.unknown(units)
	}
	if !some && s.charges == 0 {
		return &UnitsError{Name: s.limits[0].Name, Allowed: "must name something to acquire: " + s.names()}
	}
	return nil
}

// unknown returns an error about the first name, in alphabetical order, that no
// limit of the set has.
func (s *Set) unknown(units Units) error {
	for _, name := range slices.Sorted(maps.Keys(units)) {
		if !slices.ContainsFunc(s.limits, func(l bound) bool { return l.Name == name }) {
			return &UnitsError{Name: name, Units: units[name], Allowed: "no such limit; there are " + s.names()}
		}
	}
	return nil
}

// names lists the limits that a request can name.
func (s *Set) names() string {
	names := make([]string, 0, len(s.limits))
	for i := range s.limits {
		if !s.limits[i].calls {
			names = append(names, s.limits[i].Name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return join(names)
}

// try takes what a grant asks for if there is room now and nobody waits, or
// returns ErrNoRoom. Under the lock.
func (s *Set) try(g *grant) error {
	if s.closed != nil {
		return s.closed
	}
	if s.head == nil {
		if now := s.now(); s.readyAt(g.amounts, now) <= now {
			s.take(g.amounts, now)
			return nil
		}
	}
	if err := s.never(g.amounts); err != nil {
		return err
	}
	return ErrNoRoom
}

// openLease returns a lease of nothing, with which usage can be reported.
func (s *Set) openLease() (Lease, error) {
	g := s.newGrant()
	clear(g.amounts)
	clear(g.named)
	s.lock()
	defer s.unlock()
	if s.closed != nil {
		return Lease{}, s.closed
	}
	s.opened++
	return g.lease(), nil
}

// checkUnits returns an error unless a request for units can ever be granted.
func (s *Set) checkUnits(units Units) error {
	if len(units) == 0 {
		return nil
	}
	g := s.makeGrant()
	if err := s.ask(units, limitengine.ChargeNothing, g); err != nil {
		return err
	}
	s.lock()
	defer s.unlock()
	return s.never(g.amounts)
}

// never returns an error for the first amount that can never be granted. Under the lock.
func (s *Set) never(amounts []amount) error {
	for i := range s.limits {
		if l, n := &s.limits[i], amounts[i].units; n > l.max {
			return &UnitsError{Name: l.Name, Units: int(n), Allowed: fmt.Sprintf("must be from 1 to %d, which is all there ever is", l.max)}
		}
	}
	return nil
}

// most returns the largest request that limit i can grant.
func (s *Set) most(i int) int64 {
	s.lock()
	defer s.unlock()
	return s.limits[i].max
}

// now returns the nanoseconds since the set was made; 0 if no limit of the set needs the
// time.
func (s *Set) now() int64 {
	if !s.clocked {
		return 0
	}
	return s.since()
}

// readyAt returns the earliest time at which all limits have room, if nothing is taken or
// given back until then. It is MaxInt64 if that takes a release, or never happens.
func (s *Set) readyAt(amounts []amount, now int64) int64 {
	at := now
	for i := range s.limits {
		if n := amounts[i].units; n > 0 {
			at = max(at, s.limits[i].readyAt(now, n))
		}
	}
	return at
}

// readyAt returns when the limit has room for n units; see Set.readyAt.
func (b *bound) readyAt(now, n int64) int64 {
	switch {
	case n > b.max:
		return math.MaxInt64
	case b.meter != nil:
		return b.meter.when(now, n)
	case b.resource && b.held+n > b.max:
		return math.MaxInt64
	}
	return now
}

// take charges every limit, for one more lease.
func (s *Set) take(amounts []amount, now int64) {
	for i := range s.limits {
		l, a := &s.limits[i], &amounts[i]
		switch {
		case a.units == 0:
		case l.meter != nil:
			l.meter.take(now, a, a.units)
		case l.resource:
			l.held += a.units
		default:
			a.mark = uncharged
		}
	}
	s.opened++
}

// give ends what amounts hold. Rates stay charged with what was taken, unless
// that is undone.
func (s *Set) give(amounts []amount, undo bool) {
	for i := range s.limits {
		l, a := &s.limits[i], &amounts[i]
		switch {
		case a.units == 0:
		case l.resource:
			l.held -= a.units
		case undo && a.mark != uncharged:
			l.charged().back(s.now(), a, a.units)
		}
	}
}
