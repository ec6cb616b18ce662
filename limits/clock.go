package limits

import "time"

// Clock replaces time, for tests: a clock that is moved by hand, or by the waits
// themselves. Zero fields mean the real one. With a Sleep there are no timers:
// the request that time has to make room for calls it.
type Clock struct {
	// Now is the time.
	Now func() time.Time
	// Sleep waits for d, or until one of the channels closes; it returns false
	// when that came first.
	Sleep func(d time.Duration, wake ...<-chan struct{}) bool
}

func (c Clock) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// NewWithClock is New with another clock.
func NewWithClock(clock Clock, limits ...Limit) (*Set, error) {
	if err := Check(limits...); err != nil {
		return nil, err
	}
	return newSet(clock, limits), nil
}

// since is the time in nanoseconds since the set's base.
func (s *Set) since() int64 { return s.clock.since(s.base) }

func (c Clock) since(base time.Time) int64 {
	if c.Now == nil {
		return int64(time.Since(base))
	}
	return int64(c.Now().Sub(base))
}
