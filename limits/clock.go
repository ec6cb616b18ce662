package limits

import (
	"sync/atomic"
	"time"

	"github.com/concurry-go/concurry/internal/limitengine"
)

// Clock replaces the time of a set in tests: it can be moved by hand, or by the waits
// themselves. Zero fields mean the real clock. With a Sleep the set uses no timers; the
// first request in the queue calls Sleep if time has to make room for it. Both functions
// must be safe for concurrent use.
type Clock struct {
	// Now returns the time. It must not go back.
	Now func() time.Time
	// Sleep waits for d, or until one of the channels closes or has a value. It reports
	// whether d is over.
	Sleep func(d time.Duration, wake ...<-chan struct{}) bool
}

func (c Clock) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// sleep waits for d, or until one of the channels closes. A set that was put back
// on a clock without a Sleep meanwhile has a timer.
func (c Clock) sleep(d time.Duration, wake ...<-chan struct{}) {
	if c.Sleep != nil {
		c.Sleep(d, wake...)
	}
}

// NewWithClock returns a set like [New], with another clock, for tests.
func NewWithClock(clock Clock, limits ...Limit) (*Set, error) {
	if err := checkAll(limits...); err != nil {
		return nil, err
	}
	return newSet(clock, limits), nil
}

// timing counts a set's time: the nanoseconds since it was made. All sets of a Keyed
// share one. Safe for concurrent use.
type timing struct {
	current atomic.Pointer[reading]
}

// reading is a clock, and what it showed when the set's time was zero.
type reading struct {
	clock Clock
	zero  time.Time
	of    *limitengine.Clock // whose clock it is; nil outside test environments
}

func timingOf(clock Clock) *timing {
	t := &timing{}
	t.current.Store(&reading{clock: clock, zero: clock.now()})
	return t
}

// clock is the one that is read at present.
func (t *timing) clock() *Clock { return &t.current.Load().clock }

// since is the time.
func (t *timing) since() int64 { return t.current.Load().since() }

func (r *reading) since() int64 {
	if r.clock.Now == nil {
		return int64(time.Since(r.zero))
	}
	return int64(r.clock.Now().Sub(r.zero))
}
