package testsuite

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/limits"
)

// Clock is a settable clock: sleeping moves it, and takes no time. It also
// draws jitter from a seed. Waits between attempts, waits for limits, Elapsed
// and what is left for the next wait follow it; AttemptTimeout, and the deadline
// that CallTimeout puts into a context, are real time. Safe for concurrent use.
type Clock struct {
	mu     sync.Mutex
	now    time.Time
	slept  []time.Duration
	random func(int64) int64
	calls  activity.Clock
}

// NewClock starts at 2026-01-01 00:00 UTC, with seed 1.
func NewClock() *Clock {
	c := &Clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), random: Seeded(1)}
	c.calls.Now, c.calls.Sleep, c.calls.Random = c.Now, c.sleep, c.draw
	return c
}

// Seeded returns a source of jitter that draws the same numbers for the same seed, in
// the order in which it is asked. It is safe for concurrent use.
func Seeded(seed uint64) func(n int64) int64 {
	var mu sync.Mutex
	source := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // not a secret
	return func(n int64) int64 {
		mu.Lock()
		defer mu.Unlock()
		return source.Int64N(n)
	}
}

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock, as when a method takes its time.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Slept returns the waits so far, in order.
func (c *Clock) Slept() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]time.Duration(nil), c.slept...)
}

// SetRandom replaces the source of jitter: uniform in [0, n).
func (c *Clock) SetRandom(random func(n int64) int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.random = random
}

// Clock returns c for [activity.Inline.WithClock].
func (c *Clock) Clock() *activity.Clock { return &c.calls }

// Limits returns c for a set that a program makes itself, with
// [limits.NewWithClock].
func (c *Clock) Limits() limits.Clock { return limits.Clock{Now: c.Now, Sleep: c.sleep} }

func (c *Clock) sleep(d time.Duration, wake ...<-chan struct{}) bool {
	for _, w := range wake {
		select {
		case <-w:
			return false
		default:
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.slept = append(c.slept, d)
	return true
}

func (c *Clock) draw(n int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random(n)
}
