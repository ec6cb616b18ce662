package activityhost

import (
	"context"
	"sync"
	"time"

	"github.com/concurry-go/concurry/internal/engine"
)

// timer is an execution's one timer: for signs of life, for details of the method
// that wait to be sent, and for the end of the running attempt.
type timer struct {
	mu    sync.Mutex
	timer *time.Timer
	fire  func()
	beats bool      // signs of life are sent
	next  time.Time // of the next one, or of details that wait; zero is none

	attempt *attemptContext
	ended   bool   // its context, by its deadline
	abandon func() // gives the running body up; nil if that cannot be
	over    bool
}

// start begins the heartbeats.
func (e *execution) start(ctx context.Context) {
	p := &e.pulse
	p.mu.Lock() // the timer may fire before its name is written
	defer p.mu.Unlock()
	p.fire = func() { e.tick(ctx) }
	p.beats = e.info.HeartbeatTimeout > 0 && !e.spec.NoHeartbeat && !e.info.IsLocalActivity && e.host.Simulated == Real
	if p.beats {
		p.next = e.opened.Add(e.interval())
		p.timer = time.AfterFunc(e.interval(), p.fire)
	}
}

// interval is how long the server is told nothing: as long as by the SDK.
func (e *execution) interval() time.Duration {
	longest, unbounded := e.host.MaxHeartbeatThrottle, e.host.DefaultHeartbeatThrottle
	if longest <= 0 {
		longest = sdkMaxThrottle
	}
	if unbounded <= 0 {
		unbounded = sdkDefaultThrottle
	}
	if timeout := e.info.HeartbeatTimeout; timeout > 0 {
		return min(time.Duration(beatShare*float64(timeout)), longest)
	}
	return min(unbounded, longest)
}

// The SDK's defaults of worker.Options.DefaultHeartbeatThrottleInterval and
// MaxHeartbeatThrottleInterval.
const (
	sdkDefaultThrottle = 30 * time.Second
	sdkMaxThrottle     = 60 * time.Second
)

// finish ends everything that the execution has going.
func (e *execution) finish() {
	p := &e.pulse
	p.mu.Lock()
	p.over = true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	e.release()
	e.heart.close()
}

// tick does what is due and sets the timer for what comes next.
func (e *execution) tick(ctx context.Context) {
	p := &e.pulse
	p.mu.Lock()
	if p.over {
		p.mu.Unlock()
		return
	}
	now := time.Now()
	p.watchAttempt(now)
	due := !p.next.IsZero() && !now.Before(p.next)
	if due {
		p.next = time.Time{}
		if p.beats {
			p.next = now.Add(e.interval())
		}
	}
	p.schedule(now)
	p.mu.Unlock()
	if due && e.heart.beat(ctx) {
		p.flush(time.Now().Add(e.soon()))
	}
}

// soon is when a sign of life that was not answered is tried again.
func (e *execution) soon() time.Duration { return max(e.interval()/10, 100*time.Millisecond) }

// watchAttempt ends the running attempt's context at its deadline, and gives its
// body up a while later; under mu.
func (p *timer) watchAttempt(now time.Time) {
	c := p.attempt
	if c == nil || c.deadline.IsZero() || now.Before(c.deadline) {
		return
	}
	if !p.ended {
		p.ended = true
		c.cancel(context.DeadlineExceeded)
	}
	if p.abandon != nil && !now.Before(p.abandonAt()) {
		p.abandon()
		p.abandon = nil
	}
}

func (p *timer) abandonAt() time.Time { return p.attempt.deadline.Add(engine.AbandonAfter) }

// schedule sets the timer for the earliest thing that comes; under mu.
func (p *timer) schedule(now time.Time) {
	next := p.next
	if c := p.attempt; c != nil && !c.deadline.IsZero() {
		at := c.deadline
		if p.ended {
			at = p.abandonAt()
		}
		if (!p.ended || p.abandon != nil) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if next.IsZero() {
		return
	}
	if p.timer == nil {
		p.timer = time.AfterFunc(next.Sub(now), p.fire)
		return
	}
	p.timer.Reset(max(next.Sub(now), 0))
}

// flush makes sure that something is sent at a time, at the latest.
func (p *timer) flush(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.fire == nil || !p.next.IsZero() && !at.Before(p.next) {
		return
	}
	p.next = at
	p.schedule(time.Now())
}

// end ends the running attempt's context.
func (p *timer) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.attempt != nil {
		p.attempt.cancel(err)
	}
}

// watch makes the pulse end c at its deadline.
func (p *timer) watch(c *attemptContext, abandon func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempt, p.ended, p.abandon = c, false, abandon
	if c.deadline.IsZero() {
		return
	}
	now := time.Now()
	p.watchAttempt(now)
	if p.timer == nil || p.next.IsZero() || c.deadline.Before(p.next) {
		p.schedule(now)
	}
}

func (p *timer) unwatch() {
	p.mu.Lock()
	p.attempt, p.abandon = nil, nil
	p.mu.Unlock()
}
