package slots

import (
	"math"
	"sync"
	"time"
)

const (
	// refusedAfter is how long a reservation waits until the supplier counts as
	// out of slots: longer than the SDK's resource-based one takes between two
	// slots (50 ms) for each of a worker's two polls.
	refusedAfter = 250 * time.Millisecond
	// rememberFor is how long it is remembered how many slots there were then.
	rememberFor = time.Minute
)

// size is what is known of a supplier that does not say how many slots it has,
// as the resource-based one, or that has fewer than it says: as many as were
// handed out when it refused another.
type size struct {
	mu      sync.Mutex
	refused int // reservations that wait in vain
	seen    int
	until   time.Time // when seen is forgotten
}

// refuse notes that a reservation has waited in vain, where issued slots are
// handed out.
func (s *size) refuse(issued int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused++
	s.see(issued)
}

// see remembers how many slots there are; under mu.
func (s *size) see(slots int) { s.seen, s.until = slots, time.Now().Add(rememberFor) }

// relieve notes that it need not wait any more.
func (s *size) relieve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused--
}

// bound is how many slots there are, where issued are handed out and at most
// can be; most is 0 where that is not known. It is math.MaxInt where
// nothing is known.
func (s *size) bound(most, issued int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.refused > 0:
		s.see(issued)
	case time.Now().Before(s.until):
		s.seen = max(s.seen, issued)
	default:
		s.seen = math.MaxInt
	}
	if most > 0 {
		return min(most, s.seen)
	}
	return s.seen
}

// slots is how many slots the supplier has now, as far as is known.
func (w *Watch) slots() int {
	if sized, ok := w.inner.(Sized); ok {
		if n, ok := sized.Slots(); ok {
			return n
		}
	}
	most := w.inner.MaxSlots() // a stranger's code: not under mu
	return w.size.bound(most, w.issued())
}

// refused is called where a reservation waits longer than it should.
func (w *Watch) refused() {
	w.size.refuse(w.issued())
	w.thin()
}

func (w *Watch) relieved() { w.size.relieve() }
