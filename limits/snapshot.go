package limits

import (
	"math"
	"time"
)

// Snapshot is the state of a set at one moment.
type Snapshot struct {
	// Limits are in the set's order.
	Limits []Usage
	// Leases is how many leases have not ended.
	Leases int
	// Waiting is how many requests wait, and OldestWait how long the oldest of them has
	// waited; zero if none waits.
	Waiting    int
	OldestWait time.Duration
}

// Usage is the state of one limit.
type Usage struct {
	Limit
	// InUse is how many units are held of a resource, or count against a rate now. It can
	// be above the capacity after a resize, or if more was used than acquired.
	InUse float64
	// Available is how many units can be taken now, if nobody waits: what is left of the
	// capacity, or of the burst. AlgorithmLeakyBucket has none until it is empty, and then
	// its capacity.
	Available float64
	// Utilization is InUse divided by the capacity, or by the burst: 0 is idle, 1 is full.
	// It is 0 without a bound. AlgorithmLeakyBucket is full until it is empty.
	Utilization float64
}

// Snapshot returns the state of the set now.
func (s *Set) Snapshot() Snapshot {
	s.lock()
	defer s.unlock()
	now := s.now()
	snapshot := Snapshot{Limits: make([]Usage, len(s.limits)), Leases: s.leases(), Waiting: s.waiting}
	for i := range s.limits {
		l := &s.limits[i]
		u := Usage{Limit: l.Limit}
		capacity := l.Capacity
		switch {
		case l.Kind == KindResource:
			u.InUse = float64(l.held)
		case l.meter != nil:
			u.InUse = l.meter.used(now)
			capacity = l.burst()
			if l.wholeUnits() {
				capacity = math.Floor(capacity)
			}
		}
		u.Available = max(capacity-u.InUse, 0)
		if !math.IsInf(capacity, 1) {
			u.Utilization = u.InUse / capacity
		}
		if l.Algorithm == AlgorithmLeakyBucket && u.InUse > 0 {
			u.Available, u.Utilization = 0, max(u.Utilization, 1)
		}
		snapshot.Limits[i] = u
	}
	if s.head != nil {
		oldest := s.head.since
		if w := s.firstWithout(); w != nil {
			oldest = min(oldest, w.since)
		}
		snapshot.OldestWait = time.Duration(s.since() - oldest)
	}
	return snapshot
}

// Snapshots returns the state of the set of each busy key now.
func (k *Keyed) Snapshots() map[string]Snapshot {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make(map[string]Snapshot, len(k.sets))
	idle := k.blank()
	for key, s := range k.sets {
		if s.set != nil {
			all[key] = s.set.Snapshot()
			continue
		}
		k.recall(idle, s)
		all[key] = idle.Snapshot()
	}
	k.spare.Put(idle)
	return all
}

// Len returns how many keys are busy: something is held, waits or still counts.
func (k *Keyed) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.sets)
}

// Snapshots returns the state of each member's set now, in their order.
func (p *Pool) Snapshots() []Snapshot {
	all := make([]Snapshot, len(p.members))
	for i := range p.members {
		all[i] = p.members[i].Set.Snapshot()
	}
	return all
}
