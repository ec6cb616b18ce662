package engine

import (
	"math/rand/v2"
	"time"
)

// Clock is time and chance, injected. Zero fields mean the real ones.
type Clock struct {
	// Now is the time.
	Now func() time.Time
	// Sleep waits in place. Nil means a real timer.
	Sleep Sleeper
	// Random is uniform in [0, n).
	Random func(n int64) int64
}

// WithDefaults fills in the real clock.
func (c Clock) WithDefaults() Clock {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	if c.Random == nil {
		c.Random = rand.Int64N
	}
	return c
}

// Sleeper waits for d, or until one of the channels closes; it returns false
// when that came first.
type Sleeper func(d time.Duration, wake ...<-chan struct{}) bool

func sleep(d time.Duration, wake ...<-chan struct{}) bool {
	if d <= 0 {
		return true
	}
	var first, second, third <-chan struct{}
	if len(wake) > 0 {
		first = wake[0]
	}
	if len(wake) > 1 {
		second = wake[1]
	}
	if len(wake) > 2 {
		third = wake[2]
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-first:
		return false
	case <-second:
		return false
	case <-third:
		return false
	}
}
