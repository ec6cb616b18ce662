package limits

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
)

// Lease is what an acquisition holds. It is a small value: copy it freely, all
// copies are the same lease. Its zero value holds nothing. Safe for concurrent
// use.
type Lease struct {
	grant      *grant
	generation uint64
	member     *Member // of the pool it is of
}

// grant is what a lease holds of its set. It is used again for other leases,
// with another generation, so that one that was released is known by it.
type grant struct {
	set     *Set
	state   atomic.Uint64 // the generation, pinned, and lostAlone
	amounts []amount
	few     [1]amount
	turn    *turn // to wait for it; kept for the next time
	named   Units // of an unlimited set
	lost    error // why its lease was taken away alone; see lose
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

// newGrant is one that nobody else has.
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

// pin tells whether l has not been released, and sees to it that this does not
// happen before the lock is given up. Under the lock.
func (l Lease) pin() bool {
	state := &l.grant.state
	return l.grant.set.closed == nil &&
		(state.CompareAndSwap(l.generation, l.generation|pinned) || state.Load() == l.generation|pinned)
}

// over tells whether l has been released.
func (l Lease) over() bool { return l.grant == nil || l.grant.state.Load()&^pinned != l.generation }

// occupies tells whether l holds a resource of s.
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

// Release ends the lease: resources are free again, rates stay charged with
// what Use said, or else with what was acquired. It never fails, never waits
// for anybody, and does nothing if the lease has been released already.
func (l Lease) Release() { l.end(false) }

// Undo is Release that also gives back what was taken of rates, call limits
// included, as far as time has not given it back already.
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
	// Release may come in between. The grant is not used again before it gets the
	// lock, so that lost is written here for this lease.
	g.lost = lostBy(cause)
	if !g.state.CompareAndSwap(l.generation|pinned, l.generation|lostAlone) {
		g.lost = nil
		s.unlock()
		return
	}
	s.endLease(g, false, g.lost)
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

// Use says how much was really used of the rates, in all so far, so that saying
// 5 twice is 5: what was acquired and not used is given back, as far as time has not given it back
// already; what was used beyond it, or without being acquired, counts from now
// on, and later requests wait for it. Of resources no more can
// be used than is held. Keys that are not named are not changed.
//
// Errors: a *UnitsError for a key that the set does not have, a negative
// amount, or more of a resource than is held; ErrReleased and ErrLost. Then
// nothing is changed. Use of the zero Lease does nothing, so that methods can be
// called where there are no limits.
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

// gone is why a lease does not hold. Under the lock.
func (l Lease) gone() error {
	switch g := l.grant; {
	case g.state.Load() == l.generation|lostAlone:
		return g.lost
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

// Context is parent that ends when the lease does, with ErrReleased or ErrLost
// as its cause: for work that must not go on without the lease. Of the zero Lease,
// which nobody can end, it is parent, so that methods can be called where there
// are no limits.
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

// Units are what the lease holds, and has taken of rates, by key; nil once it
// has been released.
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

// Metadata is that of the pool's member which the lease is of; nil for leases
// of other sets.
func (l Lease) Metadata() any {
	if l.member == nil {
		return nil
	}
	return l.member.Metadata
}
