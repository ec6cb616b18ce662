package limits

import (
	"container/heap"
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// Keyed has one independent set of the same limits for each key, such as a
// tenant or an account. A key nobody holds, waits for or has taken anything of
// lately is forgotten, so that the memory is that of the busy ones. Safe for
// concurrent use; made by NewKeyed.
type Keyed struct {
	clock Clock
	base  time.Time

	mu     sync.Mutex
	limits []Limit
	sets   map[string]*keyedSet
	idle   idleSets
	timer  *time.Timer
	closed error
}

// keyedSet is the set of one key.
type keyedSet struct {
	key   string
	set   *Set
	users int   // acquisitions under way
	until int64 // when it can be forgotten, if it stays idle; 0 if it is not idle
	at    int   // in the heap
}

// NewKeyed makes a keyed set, or returns an error that names everything that is
// wrong.
func NewKeyed(limits ...Limit) (*Keyed, error) {
	if err := Check(limits...); err != nil {
		return nil, err
	}
	return newKeyed(Clock{}, limits), nil
}

func newKeyed(clock Clock, limits []Limit) *Keyed {
	return &Keyed{clock: clock, base: time.Now(), limits: append([]Limit(nil), limits...), sets: map[string]*keyedSet{}}
}

// MustNewKeyed is NewKeyed for package variables: it panics where that returns
// an error.
func MustNewKeyed(limits ...Limit) *Keyed {
	k, err := NewKeyed(limits...)
	if err != nil {
		panic(err)
	}
	return k
}

// For is the set of one key, as far as acquiring goes.
func (k *Keyed) For(key string) Limiter { return ofKey{k, key} }

type ofKey struct {
	keyed *Keyed
	key   string
}

// Acquire implements Limiter.
func (o ofKey) Acquire(ctx context.Context, units Units) (Lease, error) {
	return o.AcquireFor(ctx, units, ChargeCalls)
}

// AcquireFor implements Limiter.
func (o ofKey) AcquireFor(ctx context.Context, units Units, charge Charge) (Lease, error) {
	return o.keyed.with(o.key, func(s *Set) (Lease, error) { return s.AcquireFor(ctx, units, charge) })
}

// CheckUnits implements Source.
func (o ofKey) CheckUnits(units Units) error { return o.keyed.CheckUnits(units) }

// Charging implements Source.
func (o ofKey) Charging() bool { return o.keyed.Charging() }

// TryAcquire implements Limiter.
func (o ofKey) TryAcquire(units Units) (Lease, error) { return o.TryAcquireFor(units, ChargeCalls) }

// TryAcquireFor implements Limiter.
func (o ofKey) TryAcquireFor(units Units, charge Charge) (Lease, error) {
	return o.keyed.with(o.key, func(s *Set) (Lease, error) { return s.TryAcquireFor(units, charge) })
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
		s = &keyedSet{key: key, set: newSet(k.clock, k.limits)}
		s.set.watch(func() { k.settle(s) })
		k.sets[key] = s
	}
	s.users++
	k.busy(s)
	return s, nil
}

func (k *Keyed) leave(s *keyedSet) {
	k.mu.Lock()
	s.users--
	k.mu.Unlock()
	k.settle(s)
}

// busy takes s out of those that are to be forgotten.
func (k *Keyed) busy(s *keyedSet) {
	if s.until != 0 {
		s.until = 0
		heap.Remove(&k.idle, s.at)
	}
}

// settle forgets s if it is idle, or notes when it can be forgotten.
func (k *Keyed) settle(s *keyedSet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.users > 0 || k.sets[s.key] != s {
		return
	}
	k.busy(s)
	fresh, idle := s.set.freshIn()
	switch {
	case !idle:
	case fresh <= 0:
		delete(k.sets, s.key)
	default:
		s.until = max(int64(time.Since(k.base)+fresh), 1)
		heap.Push(&k.idle, s)
		k.schedule()
	}
}

// schedule sets the timer for the first key to be forgotten.
func (k *Keyed) schedule() {
	if len(k.idle) == 0 {
		return
	}
	in := time.Duration(k.idle[0].until) - time.Since(k.base)
	if k.timer == nil {
		k.timer = time.AfterFunc(in, k.sweep)
		return
	}
	k.timer.Reset(in)
}

// sweep forgets the keys whose time has come, unless a resize, or a clock that is
// not this one, has changed that.
func (k *Keyed) sweep() {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := int64(time.Since(k.base))
	for len(k.idle) > 0 && k.idle[0].until <= now {
		s := k.idle[0]
		k.busy(s)
		switch fresh, idle := s.set.freshIn(); {
		case !idle: // it will tell when it is
		case fresh <= 0:
			delete(k.sets, s.key)
		default:
			s.until = now + int64(max(fresh, soonest))
			heap.Push(&k.idle, s)
		}
	}
	k.schedule()
}

// soonest is how long a key that could not be forgotten is left alone at least.
const soonest = 10 * time.Millisecond

// freshIn is how long it takes, if nothing happens, until the set is as good as
// new. idle tells whether nobody holds or waits for anything.
func (s *Set) freshIn() (d time.Duration, idle bool) {
	s.lock()
	defer s.unlock()
	if s.opened > 0 || s.head != nil {
		return 0, false
	}
	now := s.now()
	fresh := now
	for i := range s.limits {
		if m := s.limits[i].charged(); m != nil {
			fresh = max(fresh, m.fresh(now))
		}
	}
	return time.Duration(min(fresh-now, math.MaxInt64/4)), true
}

// Resize gives a limit another capacity, for all keys; see Set.Resize.
func (k *Keyed) Resize(limit string, capacity float64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	found := false
	for i := range k.limits {
		if k.limits[i].Key != limit {
			continue
		}
		if err := k.limits[i].checkCapacity(capacity); err != nil {
			return err
		}
		found = true
		k.limits[i].Capacity = capacity
	}
	if !found {
		return &UnitsError{Key: limit, Allowed: fmt.Sprintf("no such key; there are %d limits", len(k.limits))}
	}
	for _, s := range k.sets {
		if err := s.set.Resize(limit, capacity); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the sets of all keys; see Set.Close.
func (k *Keyed) Close(cause error) {
	cause = closedBy(cause)
	k.mu.Lock()
	sets := k.sets
	if k.closed == nil {
		k.closed = cause
	}
	k.sets, k.idle = map[string]*keyedSet{}, nil
	if k.timer != nil {
		k.timer.Stop()
	}
	k.mu.Unlock()
	for _, s := range sets {
		s.set.Close(cause)
	}
}

// idleSets is a heap, the first to be forgotten on top.
type idleSets []*keyedSet

func (h idleSets) Len() int           { return len(h) }
func (h idleSets) Less(i, j int) bool { return h[i].until < h[j].until }
func (h idleSets) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push implements heap.Interface.
func (h *idleSets) Push(x any) {
	s, _ := x.(*keyedSet)
	s.at = len(*h)
	*h = append(*h, s)
}

// Pop implements heap.Interface.
func (h *idleSets) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return s
}
