package activityhost

import (
	"context"
	"sync"
	"time"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/limits"
)

// slowRecord is how long an attempt keeps the units of its limits while the
// server is told of its start.
const slowRecord = 250 * time.Millisecond

// ready brings the next attempt to its start: with what it requires of limits,
// and with a record of it on the server where there must be one. It returns the
// attempt's number, or what the server attempt returns instead.
func (e *execution) ready(ctx context.Context, here int, last error) (n int, answer error) {
	for {
		if ok, err := e.acquire(ctx, last); !ok {
			return 0, err
		}
		n, told := e.begin()
		if !told && here == 1 && !e.recordsStart || e.info.IsLocalActivity {
			return n, nil
		}
		kept, err := e.recordStart(ctx)
		if err != nil {
			e.lease.Undo() // no body has used it
			e.release()
			return 0, e.notStarted(ctx, err, last)
		}
		if kept {
			return n, nil
		}
		e.lease, err = e.needs.Engine().TryAcquire(e.needs.Units, engine.ChargeFor(n-1))
		if err == nil {
			return n, nil
		}
		e.lease = limits.Lease{}
		e.heart.takeBack()
	}
}

// begin starts the next attempt in the journal.
func (e *execution) begin() (n int, told bool) {
	var now func() time.Time
	if e.spec.NeedsClock() {
		now = e.host.Clock.Now
	}
	if b := e.spec.Retry.Budget; b != nil && e.heart.started() == 0 {
		b.NoteAttempt(e.host.Clock.Now())
	}
	return e.heart.begin(now)
}

// recordStart tells the server that an attempt starts. Nothing is held while the
// answer takes its time: then kept is false.
func (e *execution) recordStart(ctx context.Context) (kept bool, err error) {
	if e.needs.Limiter == nil || !e.needs.Acquires() {
		return true, e.heart.record(ctx)
	}
	var mu sync.Mutex
	kept = true
	slow := time.AfterFunc(slowRecord, func() {
		mu.Lock()
		defer mu.Unlock()
		kept = false
		e.lease.Undo()
	})
	err = e.heart.record(ctx)
	slow.Stop()
	mu.Lock()
	defer mu.Unlock()
	return kept, err
}
