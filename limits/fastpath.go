package limits

import (
	"math"
	"sync/atomic"
)

// fastPath lets a set acquire and release without its mutex.
//
// If the set's only limit is a resource, word packs the free units and the number of open
// leases while nobody holds the mutex or waits. Otherwise word is shut, and the fields
// under the mutex are authoritative. lock and unlock move the state between the two, so
// code under the mutex need not know about word.
//
// If the set has no resource, the end of a lease changes only the number of open leases.
// ended counts those, and the mutex is not needed.
type fastPath struct {
	acquires, releases bool // whether the set has each of the two ways

	word  atomic.Int64
	open  bool         // word is not shut, under the lock
	ended atomic.Int64 // leases that were given back by the second way
}

const (
	shut      = math.MinInt64
	leaseBits = 22
	maxLeases = 1<<leaseBits - 1
)

// openWays opens the ways of a new set.
func (s *Set) openWays() {
	s.acquires = len(s.limits) == 1 && s.limits[0].resource
	s.releases = true
	for i := range s.limits {
		s.releases = s.releases && !s.limits[i].resource
	}
	s.word.Store(shut)
	s.reopen()
}

// closeWays makes a new set one that can tell when it has become idle, which the
// fast path does not.
func (s *Set) closeWays() { s.acquires, s.releases, s.open = false, false, false }

// belong makes s, which is idle, the set of a key.
func (s *Set) belong(k *Keyed, of *keyedSet) {
	s.lock()
	defer s.unlock()
	s.keyed, s.of = k, of
}

// lock takes the lock, and shuts the way around it.
func (s *Set) lock() {
	s.mu.Lock()
	if s.open {
		s.open = false
		word := s.word.Swap(shut)
		s.limits[0].held = s.limits[0].max - word>>leaseBits
		s.opened = int(word & maxLeases)
	}
}

// reopen ends what lock began, if nobody waits.
func (s *Set) reopen() {
	if s.acquires && s.head == nil && s.closed == nil && s.opened < maxLeases/2 {
		s.open = true
		s.word.Store((s.limits[0].max-s.limits[0].held)<<leaseBits | int64(s.opened))
	}
}

// takeQuickly takes what a grant asks for, if that can be done without the lock.
func (s *Set) takeQuickly(g *grant) bool {
	if !s.acquires {
		return false
	}
	n := g.amounts[0].units
	for {
		word := s.word.Load()
		if word>>leaseBits < n || word&maxLeases == maxLeases {
			return false
		}
		if s.word.CompareAndSwap(word, word-n<<leaseBits+1) {
			return true
		}
	}
}

// giveQuickly gives back what a lease held, if that can be done without the
// lock.
func (s *Set) giveQuickly(g *grant, undo bool) bool {
	switch {
	case s.acquires:
		n := g.amounts[0].units
		for {
			word := s.word.Load()
			if word == shut {
				return false
			}
			if s.word.CompareAndSwap(word, word+n<<leaseBits-1) {
				return true
			}
		}
	case s.releases && !undo:
		s.ended.Add(1)
		return true
	}
	return false
}

// leases returns how many are open. Under the lock.
func (s *Set) leases() int {
	if s.closed != nil {
		return 0
	}
	return s.opened - int(s.ended.Load())
}
