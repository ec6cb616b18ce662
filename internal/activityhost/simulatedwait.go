package activityhost

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/limitengine"
	"github.com/concurry-go/concurry/limits"
)

// In a workflow environment a call that waits for limits looks at them again when
// their rates have room, which they say. When a resource is released nobody knows:
// the call looks again after firstLook, shortLooks times, and then ever less often.
// So the wait takes little more of the environment's time than was needed, and the
// environment does not spin as long as a body holds the resource.
const (
	firstLook  = time.Millisecond
	shortLooks = 64
	doublesIn  = 8 // looks; so a wait is a sixteenth too long
)

// line is the calls of a workflow environment that wait for rates, in order. Between
// two looks a call has no place in the queue of its limits: without a line all
// would look whenever there is room for one.
type line struct {
	mu     sync.Mutex
	since  map[string]time.Time // when calls first asked for units, by their tokens
	places []*place
}

// place is that of one call.
type place struct {
	token   string
	limiter limits.Limiter
	request limitengine.Request
	due     time.Time // when it looks again
	leaves  bool      // since the call's time is over then
}

// queues reports whether the call waits by the clock of a workflow environment.
func (e *execution) queues() bool {
	return e.host.Simulated == SimulatedWorkflow && !e.needs.Stays
}

// enter returns when a call first asked for units.
func (l *line) enter(e *execution) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	token := string(e.info.TaskToken)
	since, known := l.since[token]
	if !known {
		since = e.host.Clock.Now()
		if l.since == nil {
			l.since = map[string]time.Time{}
		}
		l.since[token] = since
	}
	return since
}

// leave takes a call out of the line, which has its units.
func (l *line) leave(e *execution) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.places = slices.DeleteFunc(l.places, func(p *place) bool { return p.token == string(e.info.TaskToken) })
}

// wait gives a call a place, unless it has one, and returns how long it takes until
// the rates have room for it and those before it.
func (l *line) wait(e *execution) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := e.host.Clock.Now()
	var mine *place
	var requests []limitengine.Request
	for _, p := range l.places {
		if p.token == string(e.info.TaskToken) {
			mine = p
			break
		}
		if p.limiter == e.needs.Limiter && !p.leaves && !p.due.Before(now) { // else it was canceled
			requests = append(requests, p.request)
		}
	}
	if mine == nil {
		mine = &place{token: string(e.info.TaskToken), limiter: e.needs.Limiter}
		l.places = append(l.places, mine)
	}
	mine.request = limitengine.Request{Units: e.needs.Units, Charge: engine.ChargeFor(e.heart.started())}
	delay := mine.limiter.EngineLimiter(limitengine.Access{}).Forecast(append(requests, mine.request))
	delay, mine.leaves = e.cut(delay)
	mine.due = now.Add(delay)
	return delay
}

// simulatedPause is pause in a workflow environment; before is how many there
// were in a row.
func (e *execution) simulatedPause(cause error, before int) time.Duration {
	if wait, ok := errors.AsType[*limits.WaitError](cause); ok && wait.RetryAfter > 0 {
		return max(e.host.line.wait(e), 1)
	}
	doubled := max(before-shortLooks, 0) / doublesIn
	delay, _ := e.cut(min(firstLook<<min(doubled, 20), maxLimitBackoff))
	return max(delay, 1)
}

// cut is delay, but no longer than the call can look again: then it says what it
// has waited for.
func (e *execution) cut(delay time.Duration) (cut time.Duration, leaves bool) {
	cut = delay
	if total := e.info.ScheduleToCloseTimeout; total > 0 {
		cut = min(cut, e.needs.Since.Add(total).Sub(e.host.Clock.Now()))
	}
	if left, bounded := e.elapsedLeft(); bounded {
		cut = min(cut, left+1)
	}
	return cut, cut < delay
}
