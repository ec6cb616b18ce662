package attempt

import (
	"context"
	"sync"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/interceptor"

	"github.com/concurry-go/concurry/limits"
)

// pulse is an execution's one timer: for automatic heartbeats, and for the end
// of the running attempt.
type pulse struct {
	mu      sync.Mutex
	timer   *time.Timer
	beats   bool
	nextAt  time.Time // of the next heartbeat
	attempt *attemptContext
	abandon func() // gives the running body up; nil if that cannot be
	over    bool
}

// start begins the heartbeats.
func (e *execution) start(ctx context.Context) {
	p := &e.pulse
	p.beats = e.info.HeartbeatTimeout > 0 && !e.spec.NoHeartbeat && !e.info.IsLocalActivity && e.host.Simulated == Real
	if p.beats {
		p.mu.Lock() // the timer may fire before its name is written
		defer p.mu.Unlock()
		p.nextAt = e.opened.Add(e.heart.interval)
		p.timer = time.AfterFunc(e.heart.interval, func() { e.tick(ctx) })
	}
}

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
	if c := p.attempt; c != nil && !c.deadline.IsZero() {
		if !now.Before(c.deadline) {
			c.cancel(context.DeadlineExceeded)
		}
		if p.abandon != nil && !now.Before(c.deadline.Add(abandonAfter)) {
			p.abandon()
			p.abandon = nil
		}
	}
	due := p.beats && !now.Before(p.nextAt)
	if due {
		p.nextAt = now.Add(e.heart.interval)
	}
	p.schedule(now)
	p.mu.Unlock()
	if due {
		e.heart.beat(ctx)
	}
}

// schedule sets the timer for the earliest thing that comes; under mu.
func (p *pulse) schedule(now time.Time) {
	var next time.Time
	if p.beats {
		next = p.nextAt
	}
	if c := p.attempt; c != nil && !c.deadline.IsZero() {
		at := c.deadline
		if !now.Before(at) {
			at = at.Add(abandonAfter)
		}
		if now.Before(at) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if !next.IsZero() {
		p.timer.Reset(max(next.Sub(now), 0))
	}
}

// run runs one attempt of the body.
func (e *execution) run(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	deadline := e.place
	if e.spec.AttemptTimeout > 0 {
		if own := time.Now().Add(e.spec.AttemptTimeout); deadline.IsZero() || own.Before(deadline) {
			deadline = own
		}
	}
	c := &e.first
	if c.parent != nil {
		c = &attemptContext{} // the body may have kept the first one
	}
	c.parent, c.deadline, c.previous, c.execution = ctx, deadline, e.Previous(), e
	c.number = e.heart.journal.Running // nobody else writes it now
	defer c.cancel(context.Canceled)
	var inner context.Context = c
	if e.needs.limiter != nil {
		inner, e.endLimits = limits.Within(c, e.needs.limiter, e.lease)
	}
	defer e.unwatch()
	if e.spec.AttemptTimeout <= 0 && e.host.Simulated == Real && !e.info.IsLocalActivity {
		e.watch(ctx, c, nil)
		return e.guarded(inner, in) // one that ends its goroutine is answered for by exited
	}
	results := make(chan result, 2)
	abandon := func() { results <- result{err: ErrAbandoned} }
	if e.spec.AttemptTimeout <= 0 {
		abandon = nil
	}
	e.watch(ctx, c, abandon)
	go func() {
		r := result{err: ErrGoexit} // unless it returns
		defer func() { results <- r }()
		r.out, r.err = e.guarded(inner, in)
	}()
	r := <-results
	return r.out, r.err
}

type result struct {
	out any
	err error
}

func (e *execution) guarded(ctx context.Context, in *interceptor.ExecuteActivityInput) (out any, err error) {
	defer Recovered(&err)
	out, err = e.Next.ExecuteActivity(ctx, in)
	if p, ok := out.(*commonpb.Payloads); ok && err == nil && e.host.Simulated != Real && e.spec.Decode != nil {
		return e.spec.Decode(p)
	}
	return out, err
}

// watch makes the pulse end c at its deadline.
func (e *execution) watch(ctx context.Context, c *attemptContext, abandon func()) {
	if c.deadline.IsZero() {
		return
	}
	p := &e.pulse
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempt, p.abandon = c, abandon
	switch {
	case p.timer == nil:
		p.timer = time.AfterFunc(time.Until(c.deadline), func() { e.tick(ctx) })
	case !p.beats || c.deadline.Before(p.nextAt):
		p.schedule(time.Now())
	}
}

func (e *execution) unwatch() {
	p := &e.pulse
	p.mu.Lock()
	p.attempt, p.abandon = nil, nil
	p.mu.Unlock()
}
