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

// Set is a group of limits. A request is granted all its units or none, first come
// first served. Safe for concurrent use; made by [New].
//
// Most callers should use Acquire. TryAcquire does not wait, and never overtakes a
// request that does.
type Set struct {
	mu     sync.Mutex
	limits []bound
	*timing
	made int64 // when its windows begin
	// clocked is true if there are rates. Without any, nobody reads the clock.
	clocked bool
	// charges is how many limits every acquisition takes a unit of by itself.
	charges int
	// unlimited is true if there is no limit, and any name; see Unlimited.
	unlimited bool
	closed    error

	opened   int       // leases that are open, and all that ended without the lock
	grants   sync.Pool // of *grant
	contexts map[*grant]map[*dependent]struct{}

	queue
	fastPath

	// The set of a key tells these when it may have become idle.
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

// charged returns the meter that knows marks; nil if there never was one.
func (b *bound) charged() meter {
	if b.meter == nil {
		return b.idle
	}
	return b.meter
}

// New returns a set of limits, or every mistake in them, each a *[FieldError].
func New(limits ...Limit) (*Set, error) {
	if err := checkAll(limits...); err != nil {
		return nil, err
	}
	return newSet(Clock{}, limits), nil
}

// MustNew does what [New] does, for package variables: it panics if New returns an error.
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
		b := bound{Limit: l, resource: l.Kind == KindResource, calls: l.Kind == KindCalls, max: l.maxRequest()}
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

// Resize gives the limit called name another capacity, at once. What is held stays held,
// also beyond the new capacity. What was taken of a rate counts against the new capacity,
// as far as it still counted; [Algorithm] says what is promised over a resize. Requests
// that wait for more than the limit can now ever grant end with a *[UnitsError]. A Burst
// that was set stays.
//
// Errors: a *[UnitsError] if the set has no such limit, a *[FieldError] if the limit
// cannot have the capacity.
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
	l.max = l.maxRequest()
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

// Close ends the set. Its leases are lost, with [ErrLost]. Requests that wait, and all
// later ones, end with [ErrClosed]. Both wrap cause, which may be nil. Closing a set
// again does nothing.
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
