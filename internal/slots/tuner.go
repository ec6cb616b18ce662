// Package slots watches the slots of one Temporal worker: which of them wait in
// place, and which polls are open.
package slots

import (
	"context"
	"reflect"
	"sync"
	"time"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
)

// Options are what a Tuner is told of its worker.
type Options struct {
	// Rate is how many activities a second the worker begins at most; 0 is no
	// bound.
	Rate float64
	// Sessions says that the worker takes sessions.
	Sessions bool
	// Started is called once, when the worker begins to poll. It may be nil.
	Started func(log.Logger)
}

// Tuner is a worker.WorkerTuner that watches the suppliers of another. Those of
// local activities are not watched: nobody polls for them, and their waits have
// nowhere else to go. Its methods do nothing on nil. Safe for concurrent use.
type Tuner struct {
	workflows, activities, sessions, nexus *Watch
	local                                  worker.SlotSupplier

	start   func(log.Logger)
	changed chan struct{}    // of capacity 1: a poll has ended, or a session begun
	closed  context.Context  // ends when no more slots are handed out
	end     func() time.Time // ends it, and says when that was done first
	created *creation
}

// NewTuner watches the suppliers of inner, which it asks for once.
func NewTuner(inner worker.WorkerTuner, o Options) *Tuner {
	t := &Tuner{changed: make(chan struct{}, 1), start: func(log.Logger) {}}
	closed, cancel := context.WithCancel(context.Background())
	t.closed, t.end = closed, sync.OnceValue(func() time.Time {
		cancel()
		return time.Now()
	})
	if o.Started != nil {
		var once sync.Once
		t.start = func(l log.Logger) { once.Do(func() { o.Started(l) }) }
	}
	if o.Sessions {
		t.created = &creation{last: time.Now()}
	}
	var pace time.Duration
	if o.Rate > 0 {
		pace = time.Duration(float64(time.Second) / o.Rate)
	}
	t.workflows = t.watch(inner.GetWorkflowTaskSlotSupplier(), 0)
	t.nexus = t.watch(inner.GetNexusSlotSupplier(), 0)
	t.local = inner.GetLocalActivitySlotSupplier()
	own, session := inner.GetActivityTaskSlotSupplier(), inner.GetSessionActivitySlotSupplier()
	t.activities = t.watch(own, pace)
	t.sessions = t.activities
	if session != nil && !same(own, session) { // without one the SDK takes the other
		t.sessions = t.watch(session, pace)
	}
	return t
}

func same(a, b worker.SlotSupplier) bool {
	return reflect.TypeOf(a) == reflect.TypeOf(b) && reflect.TypeOf(a).Comparable() && a == b
}

// Activities is what is known of the slots for activities: of the worker's own
// task queue, or of the sessions on it.
func (t *Tuner) Activities(ofSessions bool) *Watch {
	switch {
	case t == nil:
		return nil
	case ofSessions:
		return t.sessions
	default:
		return t.activities
	}
}

// GetWorkflowTaskSlotSupplier implements worker.WorkerTuner.
func (t *Tuner) GetWorkflowTaskSlotSupplier() worker.SlotSupplier { return t.workflows.supplier() }

// GetActivityTaskSlotSupplier implements worker.WorkerTuner.
func (t *Tuner) GetActivityTaskSlotSupplier() worker.SlotSupplier { return t.activities.supplier() }

// GetSessionActivitySlotSupplier implements worker.WorkerTuner.
func (t *Tuner) GetSessionActivitySlotSupplier() worker.SlotSupplier { return t.sessions.supplier() }

// GetNexusSlotSupplier implements worker.WorkerTuner.
func (t *Tuner) GetNexusSlotSupplier() worker.SlotSupplier { return t.nexus.supplier() }

// GetLocalActivitySlotSupplier implements worker.WorkerTuner.
func (t *Tuner) GetLocalActivitySlotSupplier() worker.SlotSupplier { return t.local }
