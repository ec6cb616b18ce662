package limits

import (
	"context"
	"fmt"
	"slices"
)

// Lease is what an acquisition holds. It is a small value: copy it freely, all
// copies are the same lease. Its zero value holds nothing. Safe for concurrent
// use.
type Lease struct {
	set            *Set
	id, generation uint32
	member         *Member // of the pool it is of
}

// amount is what a lease has of one limit.
type amount struct {
	units int64
	mark  uint64 // see meter
}

// leases is the table of what a set has granted. Entries are used again, with
// another generation, so that a lease that was released is known by it.
type leases struct {
	width   int // how many amounts an entry has
	amounts []amount
	entries []entry
	free    uint32 // the first free entry, plus 1; 0 is none
	opened  int    // how many are open
}

type entry struct {
	generation uint32
	next       uint32 // the next free one, plus 1
	held       bool
	contexts   []context.CancelCauseFunc
}

// open finds a free entry.
func (t *leases) open() uint32 {
	if t.free == 0 {
		t.entries = append(t.entries, entry{})
		for range t.width {
			t.amounts = append(t.amounts, amount{})
		}
		t.free = uint32(len(t.entries))
	}
	id := t.free - 1
	t.free = t.entries[id].next
	return id
}

// of are the amounts of an entry.
func (t *leases) of(id uint32) []amount {
	return t.amounts[int(id)*t.width : (int(id)+1)*t.width]
}

// drop gives an entry back that was never handed out.
func (t *leases) drop(id uint32) {
	t.entries[id].next = t.free
	t.free = id + 1
}

// hand makes the lease of an entry.
func (t *leases) hand(s *Set, id uint32) Lease {
	e := &t.entries[id]
	e.held = true
	t.opened++
	return Lease{set: s, id: id, generation: e.generation}
}

// close ends a lease's entry; its contexts end with cause.
func (t *leases) close(id uint32, cause error) {
	e := &t.entries[id]
	for _, cancel := range e.contexts {
		cancel(cause)
	}
	e.contexts = nil
	e.held = false
	e.generation++
	t.opened--
	t.drop(id)
}

// lose takes all leases away.
func (t *leases) lose(s *Set) {
	for id := range t.entries {
		if t.entries[id].held {
			s.give(t.of(uint32(id)), false)
			t.close(uint32(id), fmt.Errorf("%w: %w", ErrLost, s.closed))
		}
	}
}

// holds tells whether l has not been released; under the set's lock.
func (l Lease) holds() bool {
	e := &l.set.granted.entries[l.id]
	return e.held && e.generation == l.generation
}

// Release ends the lease: resources are free again, rates stay charged with
// what Use said, or else with what was acquired. It never fails, never waits
// for anybody, and does nothing if the lease has been released already.
func (l Lease) Release() { l.end(false) }

// Undo is Release that also gives back everything taken of rates, call limits
// included, as if it had never been acquired.
func (l Lease) Undo() { l.end(true) }

func (l Lease) end(undo bool) {
	if l.set == nil {
		return
	}
	s := l.set
	s.mu.Lock()
	if !l.holds() {
		s.mu.Unlock()
		return
	}
	s.give(s.granted.of(l.id), undo)
	s.granted.close(l.id, ErrReleased)
	if s.head != nil {
		s.wake()
	}
	idle := s.watcher != nil && s.granted.opened == 0 && s.head == nil
	s.mu.Unlock()
	if idle {
		s.watcher()
	}
}

// Use says how much was really used of the rates, in all so far: what was
// acquired and not used is given back, what was used beyond it, or without being
// acquired, counts too, and later requests wait for it. Of resources no more can
// be used than is held. Keys that are not named are not changed.
//
// Errors: a *UnitsError for a key that the set does not have, a negative
// amount, or more of a resource than is held; ErrReleased. Then nothing is
// changed.
func (l Lease) Use(used Units) error {
	if l.set == nil {
		return ErrReleased
	}
	s := l.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if !l.holds() {
		return ErrReleased
	}
	amounts := s.granted.of(l.id)
	if err := s.checkUse(used, amounts); err != nil {
		return err
	}
	now := s.now()
	for i := range s.limits {
		b, a := &s.limits[i], &amounts[i]
		n, ok := used[b.Key]
		if !ok || b.Kind == KindResource || b.meter == nil {
			continue
		}
		if a.units == 0 { // it was not acquired
			a.mark = b.meter.take(now, int64(n))
		} else {
			b.meter.adjust(now, a.mark, a.units, int64(n))
		}
		a.units = int64(n)
	}
	if s.head != nil {
		s.wake()
	}
	return nil
}

func (s *Set) checkUse(used Units, amounts []amount) error {
	named := 0
	for i := range s.limits {
		b := &s.limits[i]
		n, ok := used[b.Key]
		if !ok {
			continue
		}
		named++
		switch {
		case n < 0 || n > MostCapacity:
			return &UnitsError{Key: b.Key, Units: n, Allowed: fmt.Sprintf("must be from 0 to %.0f", float64(MostCapacity))}
		case b.Kind == KindCalls:
			return &UnitsError{Key: b.Key, Units: n, Allowed: "must not be named: a call is one"}
		case b.Kind == KindResource && int64(n) > amounts[i].units:
			return &UnitsError{Key: b.Key, Units: n, Allowed: fmt.Sprintf("must be from 0 to %d, which the lease holds", amounts[i].units)}
		}
	}
	if named != len(used) {
		return s.unknown(used)
	}
	return nil
}

// Context is parent that ends when the lease does, with ErrReleased or ErrLost
// as its cause: for work that must not go on without the lease.
func (l Lease) Context(parent context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	if l.set == nil {
		cancel(ErrReleased)
		return ctx
	}
	s := l.set
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case l.holds():
		e := &s.granted.entries[l.id]
		e.contexts = append(e.contexts, cancel)
	case s.closed != nil:
		cancel(fmt.Errorf("%w: %w", ErrLost, s.closed))
	default:
		cancel(ErrReleased)
	}
	return ctx
}

// Units are what the lease holds, and has taken of rates, by key; nil once it
// has been released.
func (l Lease) Units() Units {
	if l.set == nil {
		return nil
	}
	s := l.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if !l.holds() {
		return nil
	}
	units := Units{}
	for i, a := range slices.All(s.granted.of(l.id)) {
		if a.units > 0 {
			units[s.limits[i].Key] = int(a.units)
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
