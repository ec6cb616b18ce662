package limits

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
)

// Lease is what an acquisition holds. It is a small value that can be copied; all copies
// are the same lease. The zero value holds nothing, and its methods do nothing. Safe for
// concurrent use.
type Lease struct {
	grant      *grant
	generation uint64
	member     *Member // of the pool it is of
}

// grant is what a lease holds of its set. A grant is used again for later leases. Each
// lease has a generation of its own, so that a released lease does not touch the next.
type grant struct {
	set     *Set
	state   atomic.Uint64 // the generation, pinned, and lostAlone
	amounts []amount
	few     [1]amount
	turn    *turn // to wait for it; kept for the next time, or for why it was lost alone
	named   Units // of an unlimited set
}

// Bits of grant.state.
const (
	pinned         = 1 << iota // the lease ends under the lock
	lostAlone                  // by lose: the grant is not used again
	nextGeneration             // what a generation counts in
)

// amount is what a lease has of one limit.
type amount struct {
	units   int64
	charged int64  // those of a rate that can be given back
	mark    uint64 // where the meter finds them
}

// newGrant returns a grant that nobody else has.
func (s *Set) newGrant() *grant {
	if g, _ := s.grants.Get().(*grant); g != nil {
		return g
	}
	return s.makeGrant()
}

func (s *Set) makeGrant() *grant {
	g := &grant{set: s}
	if n := len(s.limits); n <= len(g.few) {
		g.amounts = g.few[:n]
	} else {
		g.amounts = make([]amount, n)
	}
	return g
}

func (g *grant) lease() Lease { return Lease{grant: g, generation: g.state.Load()} }

// pin reports whether l still holds. If so, nothing that l holds is given back before the
// lock is released. Under the lock.
func (l Lease) pin() bool {
	state := &l.grant.state
	return l.grant.set.closed == nil &&
		(state.CompareAndSwap(l.generation, l.generation|pinned) || state.Load() == l.generation|pinned)
}

// over reports whether l has been released, or lost alone.
func (l Lease) over() bool { return l.grant == nil || l.grant.state.Load()&^pinned != l.generation }

// occupies reports whether l holds a resource of s.
func (l Lease) occupies(s *Set) bool {
	if l.grant == nil || l.grant.set != s {
		return false
	}
	s.lock()
	defer s.unlock()
	if !l.pin() {
		return false
	}
	for i, a := range l.grant.amounts {
		if a.units > 0 && s.limits[i].resource {
			return true
		}
	}
	return false
}

// Release ends the lease. Resources are free again. Rates stay charged with what
// [Lease.Use] reported, or else with what was acquired. It does not wait for other
// requests, and does nothing if the lease has ended.
func (l Lease) Release() { l.end(false) }

// Undo ends the lease as Release does, and gives back what was taken of rates and call
// limits, as far as it still counts. It is for work that was not begun.
func (l Lease) Undo() { l.end(true) }

func (l Lease) end(undo bool) {
	g := l.grant
	if g == nil {
		return
	}
	state := g.state.Load()
	for {
		if state&^pinned != l.generation {
			return
		}
		if g.state.CompareAndSwap(state, l.generation+nextGeneration) {
			break
		}
		state = g.state.Load()
	}
	s := g.set
	if state&pinned != 0 || !s.giveQuickly(g, undo) {
		s.giveBack(g, undo)
	}
	s.grants.Put(g)
}

// giveBack takes what a lease that has ended held.
func (s *Set) giveBack(g *grant, undo bool) {
	s.lock()
	s.endLease(g, undo, ErrReleased)
	s.unlockAndSettle()
}

// lose takes the lease away, and no other of its set.
func (l Lease) lose(cause error) {
	g := l.grant
	if g == nil {
		return
	}
	s := g.set
	s.lock()
	if !l.pin() {
		s.unlock()
		return
	}
	// A Release may come in between. The grant is not used again before that gets the
	// lock. A grant that is lost never waits again, so its turn can keep the reason: a
	// field for it would make every waiter larger.
	err, idle := lostBy(cause), g.turn
	g.turn = &turn{err: &err}
	if !g.state.CompareAndSwap(l.generation|pinned, l.generation|lostAlone) {
		g.turn = idle
		s.unlock()
		return
	}
	s.endLease(g, false, err)
	s.unlockAndSettle()
}

// endLease gives back what a lease held, and ends its contexts. Under the lock.
func (s *Set) endLease(g *grant, undo bool, cause error) {
	if len(s.contexts) > 0 {
		s.endContexts(g, cause)
	}
	if s.closed != nil {
		return
	}
	s.give(g.amounts, undo)
	s.opened--
	if s.head != nil {
		s.wake()
	}
}

// unlockAndSettle ends the lock, and tells a Keyed whose set has become idle.
func (s *Set) unlockAndSettle() {
	keyed, of := s.keyed, s.of
	idle := keyed != nil && s.opened == 0 && s.head == nil
	s.unlock()
	if idle {
		keyed.settle(of)
	}
}

// endContexts ends the contexts that depend on a lease.
func (s *Set) endContexts(g *grant, cause error) {
	for c := range s.contexts[g] {
		c.end(cause)
	}
	delete(s.contexts, g)
}

// Use reports how much has been used of the rates, in all so far: calling it twice with 5
// means 5. Units that were acquired and not used are given back, as far as they still
// count. Units beyond the acquisition, or without one, are charged from now on, and later
// requests wait for them. Of a resource no more can be used than is held. Limits that used
// does not name are not changed.
//
// Errors: a *[UnitsError] for a limit that the set does not have, a negative amount, or
// more of a resource than is held; [ErrReleased] and [ErrLost]. With an error nothing is
// changed. Use of the zero Lease does nothing, so that methods can be called where there
// are no limits.
func (l Lease) Use(used Units) error {
	if l.grant == nil {
		return nil
	}
	s := l.grant.set
	s.lock()
	defer s.unlock()
	if !l.pin() {
		return l.gone()
	}
	if s.unlimited {
		return l.grant.useAny(used)
	}
	amounts := l.grant.amounts
	if err := s.checkUse(used, amounts); err != nil {
		return err
	}
	now := s.now()
	for i := range s.limits {
		b, a := &s.limits[i], &amounts[i]
		n, ok := used[b.Name]
		switch {
		case !ok || b.resource:
			continue
		case int64(n) < a.units && a.mark != uncharged:
			b.charged().back(now, a, a.units-int64(n))
		case b.meter == nil:
			a.mark = uncharged
		case a.units == 0 || a.mark == uncharged: // it was not acquired
			b.meter.take(now, a, int64(n))
		case int64(n) > a.units:
			b.meter.more(now, a, int64(n)-a.units)
		}
		a.units = int64(n)
	}
	if s.head != nil {
		s.wake()
	}
	return nil
}

// gone returns why a lease does not hold any more. Under the lock.
func (l Lease) gone() error {
	switch g := l.grant; {
	case g.state.Load() == l.generation|lostAlone:
		return *g.turn.err
	case g.set.closed != nil && !l.over():
		return lostBy(g.set.closed)
	}
	return ErrReleased
}

func (s *Set) checkUse(used Units, amounts []amount) error {
	named := 0
	for i := range s.limits {
		b := &s.limits[i]
		n, ok := used[b.Name]
		if !ok {
			continue
		}
		named++
		switch {
		case n < 0 || int64(n) > MaxCapacity:
			return &UnitsError{Name: b.Name, Units: n, Allowed: fmt.Sprintf("must be from 0 to %.0f", float64(MaxCapacity))}
		case b.calls:
			return &UnitsError{Name: b.Name, Units: n, Allowed: "must not be named: a call is one"}
		case b.resource && int64(n) > amounts[i].units:
			return &UnitsError{Name: b.Name, Units: n, Allowed: fmt.Sprintf("must be from 0 to %d, which the lease holds", amounts[i].units)}
		}
	}
	if named != len(used) {
		return s.unknown(used)
	}
	return nil
}

// Context returns a context that ends with parent or with the lease, for work that must
// not go on without it. Its cause is then [ErrReleased] or [ErrLost]. The zero Lease never
// ends: its Context is parent, so that methods can be called where there are no limits.
func (l Lease) Context(parent context.Context) context.Context {
	if l.grant == nil {
		return parent
	}
	ctx, cancel := context.WithCancelCause(parent)
	c := &dependent{cancel}
	s := l.grant.set
	s.lock()
	defer s.unlock()
	switch {
	case l.pin():
		if s.contexts == nil {
			s.contexts = map[*grant]map[*dependent]struct{}{}
		}
		if s.contexts[l.grant] == nil {
			s.contexts[l.grant] = map[*dependent]struct{}{}
		}
		s.contexts[l.grant][c] = struct{}{}
		context.AfterFunc(ctx, func() { s.forget(l.grant, c) }) // parent may end first
	default:
		cancel(l.gone())
	}
	return ctx
}

// dependent is a context that depends on a lease.
type dependent struct{ end context.CancelCauseFunc }

func (s *Set) forget(g *grant, c *dependent) {
	s.lock()
	defer s.unlock()
	delete(s.contexts[g], c)
}

// Units returns what the lease holds of resources and has taken of rates and call limits;
// nil if it has ended.
func (l Lease) Units() Units {
	if l.grant == nil {
		return nil
	}
	s := l.grant.set
	s.lock()
	defer s.unlock()
	if !l.pin() {
		return nil
	}
	if s.unlimited {
		return l.grant.anyUnits()
	}
	units := Units{}
	for i, a := range slices.All(l.grant.amounts) {
		if a.units > 0 {
			units[s.limits[i].Name] = int(a.units)
		}
	}
	return units
}

// Metadata returns that of the [Member] of a [Pool] that granted the lease; nil if no pool
// did.
func (l Lease) Metadata() any {
	if l.member == nil {
		return nil
	}
	return l.member.Metadata
}
