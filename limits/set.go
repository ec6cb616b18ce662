package limits

import (
	"context"
	"math"
	"slices"
	"sync"

	"github.com/concurry-go/concurry/internal/limitengine"
)

// Limiter is what units are acquired from: a *[Set], one key of a [Keyed], or a *[Pool].
// Safe for concurrent use. No other package can implement it, so that it can grow.
type Limiter interface {
	Source
	// Acquire waits until all units can be taken at once, and takes them; see
	// [Set.Acquire].
	Acquire(ctx context.Context, units Units) (Lease, error)
	// TryAcquire takes all units now, or returns [ErrNoRoom].
	TryAcquire(units Units) (Lease, error)
	// EngineLimiter is for this module alone; nobody else can name its parameter's type.
	EngineLimiter(access limitengine.Access) limitengine.Limiter[Lease]
}

// Set is a group of limits that requests are acquired from all or nothing,
// first come first served. Safe for concurrent use; made by New.
//
// Most callers use Acquire. TryAcquire does not wait, and never overtakes one
// who does.
type Set struct {
	mu     sync.Mutex
	limits []bound
	*timing
	made int64 // when its windows begin
	// clocked tells that there are rates: without any, nobody reads the clock.
	clocked bool
	// charges is how many limits every acquisition takes a unit of by itself.
	charges int
	// unlimited tells that there is no limit, and any key; see Unlimited.
	unlimited bool
	closed    error

	opened   int       // how many leases are open, and all that ended quickly
	grants   sync.Pool // of *grant
	contexts map[*grant]map[*dependent]struct{}

	queue
	quick

	// Where it is that of a key, these are told when it may have become idle.
	keyed *Keyed
	of    *keyedSet
}

// bound is a limit and its state.
type bound struct {
	Limit
	resource, calls bool // its kind

	max   int64 // the largest request
	held  int64 // of a resource
	meter meter // of a rate; nil where that has no bound
	idle  meter // of a rate that had one, for the marks of what was taken

	bounded float64 // the capacity of idle
}

// uncharged is the mark of what was taken of a rate without bound.
const uncharged = math.MaxUint64

// charged is the meter that knows marks; nil if there never was one.
func (b *bound) charged() meter {
	if b.meter == nil {
		return b.idle
	}
	return b.meter
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

func newSet(clock Clock, limits []Limit) *Set { return newSetBy(timingOf(clock), limits) }

func newSetBy(t *timing, limits []Limit) *Set {
	s := &Set{limits: make([]bound, len(limits)), timing: t}
	s.made = s.since()
	for i, l := range limits {
		b := bound{Limit: l, resource: l.Kind == KindResource, calls: l.Kind == KindCalls, max: l.most()}
		if !b.resource {
			b.meter = newMeter(&l, s.made)
			s.clocked = s.clocked || b.meter != nil
		}
		if b.calls {
			s.charges++
		}
		s.limits[i] = b
	}
	s.openWays()
	return s
}

// Resize gives a limit another capacity, at once. What is held stays held, and
// what was taken counts against the new capacity, as far as time had not let it
// through at the old one; Algorithm says what is promised over a resize. Requests
// that wait for more than it can ever grant end with a *UnitsError. For a rate with
// a Burst, the burst stays.
//
// Errors: a *UnitsError for a key that the set does not have, a *FieldError for
// a capacity that it cannot have.
func (s *Set) Resize(name string, capacity float64) error {
	s.lock()
	defer s.unlock()
	i := slices.IndexFunc(s.limits, func(l bound) bool { return l.Name == name })
	if i < 0 {
		return &UnitsError{Name: name, Allowed: "no such limit; there are " + s.names()}
	}
	l := &s.limits[i]
	if err := l.checkCapacity(capacity); err != nil {
		return err
	}
	now := s.now()
	before := l.Capacity
	l.Capacity = capacity
	l.max = l.most()
	switch {
	case l.resource:
	case math.IsInf(capacity, 1) && l.meter == nil:
	case math.IsInf(capacity, 1):
		l.bounded = before
		l.idle, l.meter = l.meter, nil
	case l.charged() == nil:
		l.meter = newMeter(&l.Limit, s.made)
		s.clocked = true
	default:
		l.meter, l.idle = l.charged(), nil
		l.meter.resize(now, &l.Limit)
	}
	s.rejectTooLarge(i)
	s.wake()
	return nil
}

// Close ends the set: leases are lost; requests that wait, and all that come, end
// with ErrClosed, which wraps cause. Closing it again changes nothing.
func (s *Set) Close(cause error) {
	cause = closedBy(cause)
	s.lock()
	defer s.unlock()
	if s.closed != nil {
		return
	}
	s.closed = cause
	for w := s.head; w != nil; w = s.head {
		s.remove(w)
		w.end(cause)
	}
	s.stopTimer()
	for i := range s.limits {
		s.limits[i].held = 0
	}
	for g := range s.contexts {
		s.endContexts(g, lostBy(cause))
	}
}
