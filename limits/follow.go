package limits

import (
	"time"

	"github.com/concurry-go/concurry/internal/limitengine"
)

// follow puts sets on the clock of a test environment; see limitengine.Source.
func follow(c *limitengine.Clock, all ...follower) bool {
	var begun []follower
	for _, f := range all {
		ok, begins := f.follow(c)
		if begins {
			begun = append(begun, f)
		}
		if !ok {
			unfollow(c, begun...)
			return false
		}
	}
	return true
}

// unfollow puts those that are on the clock of an environment back on the real one.
func unfollow(c *limitengine.Clock, all ...follower) {
	for _, f := range all {
		if f.unfollow(c) {
			f.rearm()
		}
	}
}

// follower is a Set or a Keyed.
type follower interface {
	follow(c *limitengine.Clock) (ok, begins bool)
	unfollow(c *limitengine.Clock) bool
	rearm()
}

// followers returns the members' sets in their order.
func (p *Pool) followers() []follower {
	all := make([]follower, len(p.members))
	for i, m := range p.members {
		all[i] = m.Set
	}
	return all
}

// rearm sets a timer for those who wait since there was none.
func (s *Set) rearm() {
	s.lock()
	defer s.unlock()
	s.stopTimer()
	s.wake()
}

func (k *Keyed) rearm() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.sets {
		if s.set != nil {
			s.set.rearm()
		}
	}
}

// follow counts the time by the clock of an environment from here on. It reports
// whether that is so, and whether it was not before.
func (t *timing) follow(c *limitengine.Clock) (ok, begins bool) {
	for {
		now := t.current.Load()
		switch {
		case now.of != nil:
			return now.of == c, false
		case now.clock.Now != nil || now.clock.Sleep != nil:
			return true, false
		}
		next := &reading{clock: Clock(*c), of: c}
		next.zero = next.clock.now().Add(-time.Duration(now.since()))
		if t.current.CompareAndSwap(now, next) {
			return true, true
		}
	}
}

// unfollow counts it by the real clock again, and reports whether it was that of c.
func (t *timing) unfollow(c *limitengine.Clock) bool {
	now := t.current.Load()
	if now.of != c {
		return false
	}
	next := &reading{}
	next.zero = time.Now().Add(-time.Duration(now.since()))
	return t.current.CompareAndSwap(now, next)
}
