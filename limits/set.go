package limits

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// Limiter is what units are acquired from: a Set, one key of a Keyed, or a
// Pool.
type Limiter interface {
	// Acquire waits until all units can be taken at once, and takes them.
	Acquire(ctx context.Context, units Units) (Lease, error)
	// TryAcquire takes all units now, or returns ErrNoRoom.
	TryAcquire(units Units) (Lease, error)
	// AcquireFor and TryAcquireFor are the same for an attempt of a call, which
	// charges call limits as it is told.
	AcquireFor(ctx context.Context, units Units, charge Charge) (Lease, error)
	TryAcquireFor(units Units, charge Charge) (Lease, error)
}

// Charge says which limits of KindCalls an acquisition takes a unit of.
type Charge int

const (
	// ChargeCalls: all of them, as Acquire does.
	ChargeCalls Charge = iota
	// ChargeAttempt: those that count every attempt, for a further attempt of
	// a call.
	ChargeAttempt
	// ChargeNothing: none, inside a method, whose call has been charged.
	ChargeNothing
)

// Set is a group of limits that requests are acquired from all or nothing,
// first come first served. Safe for concurrent use; made by New.
//
// Most callers use Acquire. TryAcquire does not wait, and never overtakes one
// who does.
type Set struct {
	mu     sync.Mutex
	limits []bound
	clock  Clock
	base   time.Time
	// clocked tells that there are rates: without any, nobody reads the clock.
	clocked bool
	// charges is how many limits every acquisition takes a unit of by itself.
	charges int
	closed  error

	granted leases
	queue
	watcher func() // told when the set may have become idle; see Keyed
}

// bound is a limit and its state.
type bound struct {
	Limit
	max   int64 // the largest request
	held  int64 // of a resource
	meter meter // of a rate; nil where that has no bound
}

// New makes a set, or returns an error that names everything that is wrong.
func New(limits ...Limit) (*Set, error) {
	if err := Check(limits...); err != nil {
		return nil, err
	}
	return newSet(Clock{}, limits), nil
}

// MustNew is New for package variables: it panics where New returns an error.
func MustNew(limits ...Limit) *Set {
	s, err := New(limits...)
	if err != nil {
		panic(err)
	}
	return s
}

func newSet(clock Clock, limits []Limit) *Set {
	s := &Set{limits: make([]bound, len(limits)), clock: clock, base: clock.now()}
	for i, l := range limits {
		b := bound{Limit: l, max: l.most()}
		if l.Kind != KindResource {
			b.meter = newMeter(&l)
			s.clocked = s.clocked || b.meter != nil
		}
		if l.Kind == KindCalls {
			s.charges++
		}
		s.limits[i] = b
	}
	s.granted.width = len(limits)
	return s
}

// Acquire waits until all units can be taken at once, in the order in which
// requests come, and takes them. A call limit of the set is charged with one
// unit, which units does not name.
//
// Errors: a *UnitsError for units that can never be had, at once; a *WaitError
// when ctx ends first; ErrClosed. With an error nothing is taken.
func (s *Set) Acquire(ctx context.Context, units Units) (Lease, error) {
	return s.AcquireFor(ctx, units, ChargeCalls)
}

// TryAcquire takes all units at once, or returns ErrNoRoom: when there is no
// room, or somebody else is waiting.
func (s *Set) TryAcquire(units Units) (Lease, error) { return s.TryAcquireFor(units, ChargeCalls) }

// TryAcquireFor is TryAcquire that charges call limits as it is told.
func (s *Set) TryAcquireFor(units Units, charge Charge) (Lease, error) {
	lease, err := s.tryAcquire(units, charge)
	if err == errQueued { //nolint:errorlint // nobody wraps it
		return Lease{}, s.refuse(units, charge)
	}
	return lease, err
}

// AcquireFor is Acquire that charges call limits as it is told.
func (s *Set) AcquireFor(ctx context.Context, units Units, charge Charge) (Lease, error) {
	lease, err := s.tryAcquire(units, charge)
	if err == errQueued || err == ErrNoRoom { //nolint:errorlint // nobody wraps them
		return s.wait(ctx, units, charge)
	}
	return lease, err
}

// errQueued says that others wait, and that nobody has looked at the request.
var errQueued = errors.New("others wait")

// refuse is why a request is refused that nobody has looked at.
func (s *Set) refuse(units Units, charge Charge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ask(units, charge, make([]amount, len(s.limits))); err != nil {
		return err
	}
	return ErrNoRoom
}

func (s *Set) tryAcquire(units Units, charge Charge) (Lease, error) {
	s.mu.Lock()
	switch {
	case s.closed != nil:
		s.mu.Unlock()
		return Lease{}, s.closed
	case s.head != nil:
		s.mu.Unlock()
		return Lease{}, errQueued
	}
	id := s.granted.open()
	amounts := s.granted.of(id)
	err := s.ask(units, charge, amounts)
	if err == nil {
		now := s.now()
		if !s.lacks(amounts, now) {
			s.take(amounts, now)
			lease := s.granted.hand(s, id)
			s.mu.Unlock()
			return lease, nil
		}
		err = ErrNoRoom
	}
	s.granted.drop(id)
	s.mu.Unlock()
	return Lease{}, err
}

// now is the time in nanoseconds since the set was made; 0 where no limit of
// the set is about time.
func (s *Set) now() int64 {
	if !s.clocked {
		return 0
	}
	return s.since()
}

// ask turns a request into an amount per limit, or says what is wrong with it.
func (s *Set) ask(units Units, charge Charge, amounts []amount) error {
	named, some := 0, false
	for i := range s.limits {
		l := &s.limits[i]
		n, ok := units[l.Key]
		switch {
		case l.Kind == KindCalls && ok:
			return &UnitsError{Key: l.Key, Units: n, Allowed: "must not be named: every acquisition takes one by itself"}
		case l.Kind == KindCalls:
			if charge == ChargeCalls || charge == ChargeAttempt && l.PerAttempt {
				n = 1
			}
		case ok:
			named++
			if n <= 0 {
				return &UnitsError{Key: l.Key, Units: n, Allowed: fmt.Sprintf("must be from 1 to %d", l.max)}
			}
		}
		if int64(n) > l.max {
			return &UnitsError{Key: l.Key, Units: n, Allowed: fmt.Sprintf("must be from 1 to %d, which is all there ever is", l.max)}
		}
		amounts[i] = amount{units: int64(n)}
		some = some || n > 0
	}
	if named != len(units) {
		return s.unknown(units)
	}
	if !some && s.charges == 0 {
		return &UnitsError{Key: s.limits[0].Key, Allowed: "must name something to acquire: " + s.keys()}
	}
	return nil
}

// unknown names the first key that the set does not have.
func (s *Set) unknown(units Units) error {
	for _, key := range slices.Sorted(maps.Keys(units)) {
		if !slices.ContainsFunc(s.limits, func(l bound) bool { return l.Key == key }) {
			return &UnitsError{Key: key, Units: units[key], Allowed: "no such key; there are " + s.keys()}
		}
	}
	return nil
}

func (s *Set) keys() string {
	keys := make([]string, 0, len(s.limits))
	for i := range s.limits {
		if s.limits[i].Kind != KindCalls {
			keys = append(keys, s.limits[i].Key)
		}
	}
	if len(keys) == 0 {
		return "none"
	}
	return join(keys)
}

// lacks tells whether some limit has no room now.
func (s *Set) lacks(amounts []amount, now int64) bool { return s.readyAt(amounts, now) > now }

// readyAt is when, at the earliest, all limits have room, if nothing is taken
// or given back until then; MaxInt64 where that takes a release.
func (s *Set) readyAt(amounts []amount, now int64) int64 {
	at := now
	for i := range s.limits {
		l, n := &s.limits[i], amounts[i].units
		switch {
		case n == 0:
		case l.Kind == KindResource:
			if l.held+n > int64(l.Capacity) {
				return math.MaxInt64
			}
		case l.meter != nil:
			at = max(at, l.meter.when(now, n))
		}
	}
	return at
}

// take charges every limit.
func (s *Set) take(amounts []amount, now int64) {
	for i := range s.limits {
		l, a := &s.limits[i], &amounts[i]
		switch {
		case a.units == 0:
		case l.Kind == KindResource:
			l.held += a.units
		case l.meter != nil:
			a.mark = l.meter.take(now, a.units)
		}
	}
}

// give ends what amounts hold. Rates stay charged with what was taken, unless
// it is undone.
func (s *Set) give(amounts []amount, undo bool) {
	for i := range s.limits {
		l, a := &s.limits[i], &amounts[i]
		switch {
		case a.units == 0:
		case l.Kind == KindResource:
			l.held -= a.units
		case undo && l.meter != nil:
			l.meter.adjust(s.now(), a.mark, a.units, 0)
		}
	}
}

// Resize gives a limit another capacity, at once. What is held stays held, and
// what was taken counts against the new capacity. Requests that wait for more
// than it can ever grant end with a *UnitsError. For a rate with a Burst, the
// burst stays.
//
// Errors: a *UnitsError for a key that the set does not have, a *FieldError for
// a capacity that it cannot have.
func (s *Set) Resize(key string, capacity float64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.limits, func(l bound) bool { return l.Key == key })
	if i < 0 {
		return &UnitsError{Key: key, Allowed: "no such key; there are " + s.keys()}
	}
	l := &s.limits[i]
	if err := l.checkCapacity(capacity); err != nil {
		return err
	}
	now := s.now()
	l.Capacity = capacity
	l.max = l.most()
	switch {
	case l.Kind == KindResource:
	case math.IsInf(capacity, 1):
		l.meter = nil // and what was taken is forgotten
	case l.meter == nil:
		l.meter = newMeter(&l.Limit)
		s.clocked = true
	default:
		l.meter.resize(now, &l.Limit)
	}
	s.rejectTooLarge(i)
	s.wake()
	return nil
}

// Close ends the set: leases are lost, requests that wait end with cause, and
// so do all that come. Closing it again changes nothing.
func (s *Set) Close(cause error) {
	if cause == nil {
		cause = ErrClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return
	}
	s.closed = cause
	for w := s.head; w != nil; w = s.head {
		s.remove(w)
		w.end(cause)
	}
	s.stopTimer()
	s.granted.lose(s)
}
