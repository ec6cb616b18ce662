package limits

import (
	"container/heap"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/concurry-go/concurry/internal/limitengine"
)

// Keyed has one independent [Set] of the same limits for each key, such as a tenant or an
// account. The set of a key is made when it is first used. While nothing is held or
// waited for, it costs about 150 bytes, and a few more for each acquisition in a sliding
// window; it is forgotten when nothing that was taken counts any more. Safe for concurrent
// use; made by [NewKeyed].
type Keyed struct {
	*timing

	mu      sync.Mutex
	limits  []Limit
	sets    map[string]*keyedSet
	idle    idleSets
	timer   *time.Timer
	timerAt int64       // when it fires; MaxInt64 if it does not
	spare   *sync.Pool  // of sets, with these limits, that belong to no key
	warm    []*keyedSet // see keepWarm
	hand    int         // where the next one comes in warm
	buffer  []byte      // for states
	closed  error
}

// NewKeyed returns sets of limits for keys, or every mistake in the limits, each a
// *[FieldError].
func NewKeyed(limits ...Limit) (*Keyed, error) {
	if err := checkAll(limits...); err != nil {
		return nil, err
	}
	return newKeyed(Clock{}, limits), nil
}

func newKeyed(clock Clock, limits []Limit) *Keyed {
	return &Keyed{
		timing: timingOf(clock), limits: append([]Limit(nil), limits...),
		sets: map[string]*keyedSet{}, spare: &sync.Pool{},
	}
}

// MustNewKeyed does what [NewKeyed] does, for package variables: it panics if NewKeyed returns an
// error.
func MustNewKeyed(limits ...Limit) *Keyed {
	k, err := NewKeyed(limits...)
	if err != nil {
		panic(err)
	}
	return k
}

// For returns the set of one key, to acquire from. It can be kept.
func (k *Keyed) For(key string) Limiter { return ofKey{k, key} }

type ofKey struct {
	keyed *Keyed
	key   string
}

// Acquire implements [Limiter].
func (o ofKey) Acquire(ctx context.Context, units Units) (Lease, error) {
	return o.acquire(ctx, units, limitengine.ChargeCalls)
}

// TryAcquire implements [Limiter].
func (o ofKey) TryAcquire(units Units) (Lease, error) {
	return o.tryAcquire(units, limitengine.ChargeCalls)
}

func (o ofKey) acquire(ctx context.Context, units Units, charge limitengine.Charge) (Lease, error) {
	return o.keyed.with(o.key, func(s *Set) (Lease, error) { return s.acquire(ctx, units, charge) })
}

func (o ofKey) tryAcquire(units Units, charge limitengine.Charge) (Lease, error) {
	return o.keyed.with(o.key, func(s *Set) (Lease, error) { return s.tryAcquire(units, charge) })
}

func (k *Keyed) with(key string, acquire func(s *Set) (Lease, error)) (Lease, error) {
	s, err := k.enter(key)
	if err != nil {
		return Lease{}, err
	}
	defer k.leave(s)
	return acquire(s.set)
}

// enter finds the set of a key, or makes it, and keeps it from being forgotten.
func (k *Keyed) enter(key string) (*keyedSet, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed != nil {
		return nil, k.closed
	}
	s := k.sets[key]
	if s == nil {
		s = &keyedSet{key: key, at: -1}
		k.sets[key] = s
	}
	k.busy(s)
	if s.set == nil {
		k.thaw(s)
	}
	s.users++
	return s, nil
}

func (k *Keyed) leave(s *keyedSet) {
	k.mu.Lock()
	s.users--
	k.mu.Unlock()
	k.settle(s)
}

// Resize gives the limit called name another capacity, for all keys; see [Set.Resize].
func (k *Keyed) Resize(name string, capacity float64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.limits, func(l Limit) bool { return l.Name == name })
	if i < 0 {
		return &UnitsError{Name: name, Allowed: fmt.Sprintf("no such limit; there are %d limits", len(k.limits))}
	}
	if err := k.limits[i].checkCapacity(capacity); err != nil {
		return err
	}
	before := k.limits[i].Capacity
	frozen := k.blank()
	k.limits[i].Capacity, k.spare = capacity, &sync.Pool{}
	for _, s := range k.sets {
		if s.set != nil {
			if err := s.set.Resize(name, capacity); err != nil {
				return err
			}
			if s.at >= 0 {
				s.until, _ = s.set.freshAt()
			}
			continue
		}
		k.recall(frozen, s)
		if err := frozen.Resize(name, capacity); err != nil {
			return err
		}
		s.until, _ = frozen.freshAt()
		s.state = string(frozen.keep(k.buffer[:0]))
		if err := frozen.Resize(name, before); err != nil {
			return err
		}
	}
	heap.Init(&k.idle)
	k.schedule(k.since())
	return nil
}

// Close closes the sets of all keys; see [Set.Close].
func (k *Keyed) Close(cause error) {
	cause = closedBy(cause)
	k.mu.Lock()
	sets := k.sets
	if k.closed == nil {
		k.closed = cause
	}
	k.sets, k.idle, k.warm = map[string]*keyedSet{}, nil, nil
	if k.timer != nil {
		k.timer.Stop()
	}
	k.mu.Unlock()
	for _, s := range sets {
		if s.set != nil {
			s.set.Close(cause)
		}
	}
}
