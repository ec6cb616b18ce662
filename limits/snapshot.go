package limits

import (
	"math"
	"time"
)

// Snapshot is what a set holds at one moment.
type Snapshot struct {
	// Limits are in the set's order.
	Limits []Usage
	// Leases is how many acquisitions hold something.
	Leases int
	// Waiting is how many requests wait, and OldestWait how long the oldest has.
	Waiting    int
	OldestWait time.Duration
}

// Usage is the state of one limit.
type Usage struct {
	Limit
	// InUse is what is held of a resource, or counts against a rate now. After
	// a resize, or where more was used than acquired, it can be above the
	// capacity.
	InUse float64
	// Available is what can be had now, if nobody waits: what is left of the
	// capacity, or of the burst. A AlgorithmLeakyBucket has nothing until it is empty, and
	// then as much as its capacity.
	Available float64
	// Utilization is InUse as a part of the capacity: 0 is idle, 1 is full. A
	// AlgorithmLeakyBucket is full until it is empty.
	Utilization float64
}

// Snapshot tells what the set holds now.
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

// Snapshots tells what the set of each busy key holds now.
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

// Len is how many keys are busy.
func (k *Keyed) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.sets)
}

// Snapshots tells what each member holds now.
func (p *Pool) Snapshots() []Snapshot {
	all := make([]Snapshot, len(p.members))
	for i := range p.members {
		all[i] = p.members[i].Set.Snapshot()
	}
	return all
}
