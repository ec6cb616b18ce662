package slots

import (
	"sync"
	"time"
)

const (
	// idleAfter is how long no task comes to polls that are open, when nothing
	// waits for them. It is less than a second: what fails now comes back after
	// one by Temporal's default, in the moment in which they would be closed.
	idleAfter = 800 * time.Millisecond
	// atLeast is how long a poll is left open after the worker's stop: time
	// for a task that is on its way.
	atLeast = 250 * time.Millisecond
	// settling is how long the SDK may take from a task's arrival to its
	// processing. In between it looks once more whether the worker stops, and
	// if so drops the task.
	settling = 50 * time.Millisecond
)

// Close makes the worker take no more tasks, and waits until none can get lost
// when its polls are closed, which the SDK does without regard to what they bring
// at that moment. Each has brought its task by then, or the queue is empty: none
// has come for a while. Tasks that have come, and which the worker's own rate
// holds back, have begun.
//
// It waits no longer than most, or than idleAfter if that is more. What it has
// waited for once, it need not wait for again.
func (t *Tuner) Close(most time.Duration) {
	if t == nil {
		return
	}
	began := t.end()
	t.created.refuse(false)
	t.await(began.Add(max(most, idleAfter)), func() (until time.Time) {
		for _, w := range []*Watch{t.workflows, t.activities, t.sessions, t.nexus} {
			if w != nil {
				until = latest(until, w.until(began))
			}
		}
		return until
	})
}

// Drain is Close of a worker that the SDK is about to stop, and does not let
// poll any more: for new sessions, too.
func (t *Tuner) Drain(most time.Duration) {
	if t == nil {
		return
	}
	t.created.refuse(true)
	began := time.Now()
	t.Close(most)
	t.await(began.Add(idleAfter), func() time.Time { return t.created.until(began) })
}

// await waits until the time that until says, which may change, or end.
func (t *Tuner) await(end time.Time, until func() time.Time) {
	for {
		at := until()
		if at.After(end) {
			at = end
		}
		left := time.Until(at)
		if left <= 0 {
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-t.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (t *Tuner) change() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// until is when the polls that are open now may be closed.
func (w *Watch) until(began time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	until := w.lastUsed.Add(settling)
	if w.reserving > 0 { // until the supplier gives up, or grants it after all
		until = latest(until, began.Add(idleAfter))
	}
	for _, since := range w.polls {
		until = latest(until, since.Add(idleAfter), began.Add(atLeast), w.lastUsed.Add(max(idleAfter, w.pace+settling)))
	}
	return until
}

func latest(first time.Time, more ...time.Time) time.Time {
	for _, t := range more {
		if t.After(first) {
			first = t
		}
	}
	return first
}

// creation is the one poll for new sessions. Its slots are the SDK's own, so
// that only what it brings can be seen.
type creation struct {
	mu      sync.Mutex
	last    time.Time // when it brought something
	refuses bool      // the worker begins no more sessions
	final   bool      // there is no other poll after the open one
	done    bool      // that one has brought something
}

// SessionBegins notes a request for a new session. It reports whether the worker
// still begins one.
func (t *Tuner) SessionBegins() bool {
	if t == nil || t.created == nil {
		return true
	}
	defer t.change()
	c := t.created
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.done = time.Now(), c.final
	return !c.refuses
}

func (c *creation) refuse(final bool) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuses, c.final = true, c.final || final
}

func (c *creation) until(began time.Time) time.Time {
	if c == nil {
		return time.Time{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return time.Time{}
	}
	return latest(c.last.Add(idleAfter), began.Add(atLeast))
}
