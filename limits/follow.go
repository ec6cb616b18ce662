package limits

import (
	"time"

	"github.com/concurry-go/concurry/internal/testclock"
)

// Follow puts the sets of source on the clock of a test environment, until
// Unfollow, and reports whether they are on it. They are not where another
// environment has one of them: then none is changed. A set that was made with a
// clock keeps it. Time goes on from what it was, and what was taken counts. Whoever
// waits for the sets elsewhere in the program does so on that clock too, except
// those who waited before.
//
// It is the engine's: no user can make a testclock.Clock. Safe for concurrent use.
func Follow(source Source, c *testclock.Clock) bool {
	var begun []follower
	for _, f := range followersOf(source) {
		ok, begins := f.follow(c)
		if begins {
			begun = append(begun, f)
		}
		if !ok {
			unfollow(begun, c)
			return false
		}
	}
	return true
}

// Unfollow puts the sets of source that are on the clock of an environment back on
// the real one. Time goes on from what it was.
func Unfollow(source Source, c *testclock.Clock) { unfollow(followersOf(source), c) }

func unfollow(all []follower, c *testclock.Clock) {
	for _, f := range all {
		if f.unfollow(c) {
			f.rearm()
		}
	}
}

// follower is a Set or a Keyed.
type follower interface {
	follow(c *testclock.Clock) (ok, begins bool)
	unfollow(c *testclock.Clock) bool
	rearm()
}

// followersOf are the sets that a program has made, in the order of a pool.
func followersOf(source Source) []follower {
	switch s := source.(type) {
	case *Set:
		return []follower{s}
	case *Keyed:
		return []follower{s}
	case *Pool:
		all := make([]follower, len(s.members))
		for i, m := range s.members {
			all[i] = m.Set
		}
		return all
	}
	return nil
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
func (t *timing) follow(c *testclock.Clock) (ok, begins bool) {
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
func (t *timing) unfollow(c *testclock.Clock) bool {
	now := t.current.Load()
	if now.of != c {
		return false
	}
	next := &reading{}
	next.zero = time.Now().Add(-time.Duration(now.since()))
	return t.current.CompareAndSwap(now, next)
}
