package slots

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/worker"
)

// Sized is a supplier that knows how many slots it has at the moment.
type Sized interface {
	// Slots is that number, and math.MaxInt where nothing bounds it. ok is
	// false where it is not known.
	Slots() (n int, ok bool)
}

// Watch is a worker.SlotSupplier that watches another one. A slot is reserved
// for each poll: it is an open poll until a task comes, or none. Safe for
// concurrent use.
type Watch struct {
	inner worker.SlotSupplier
	tuner *Tuner
	// pace is the time between two tasks that the worker's own rate lets begin.
	pace time.Duration

	mu        sync.Mutex
	reserving int                              // reservations that the supplier is asked for
	polls     map[*worker.SlotPermit]time.Time // open, since when
	used      int                              // slots with a task
	lastUsed  time.Time                        // when the last task came

	size  size
	waits waits
}

func (t *Tuner) watch(inner worker.SlotSupplier, pace time.Duration) *Watch {
	if inner == nil {
		return nil
	}
	return &Watch{inner: inner, tuner: t, pace: pace, polls: map[*worker.SlotPermit]time.Time{}}
}

// informed is a Watch of a supplier that tells the SDK of the machine.
type informed struct {
	*Watch
	worker.HasSysInfoProvider
}

// supplier is w as the SDK gets it; nil where there is nothing to watch.
func (w *Watch) supplier() worker.SlotSupplier {
	if w == nil {
		return nil
	}
	if s, ok := w.inner.(worker.HasSysInfoProvider); ok {
		return &informed{w, s}
	}
	return w
}

// ReserveSlot implements worker.SlotSupplier. It waits for ever once the worker
// takes no more tasks; an error would be logged.
func (w *Watch) ReserveSlot(ctx context.Context, info worker.SlotReservationInfo) (*worker.SlotPermit, error) {
	w.tuner.start(info.Logger())
	permit, err := w.reserve(ctx, info)
	if permit == nil && w.tuner.closed.Err() != nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return permit, err
}

// reserve gives up when the worker takes no more tasks.
func (w *Watch) reserve(ctx context.Context, info worker.SlotReservationInfo) (*worker.SlotPermit, error) {
	w.asks(1)
	defer w.asks(-1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.tuner.closed, cancel)()
	if w.tuner.closed.Err() != nil {
		return nil, context.Canceled
	}
	late := time.AfterFunc(refusedAfter, w.refused)
	permit, err := w.inner.ReserveSlot(ctx, info)
	w.issue(permit)
	if !late.Stop() {
		w.relieved()
	}
	return permit, err
}

func (w *Watch) asks(more int) {
	w.mu.Lock()
	w.reserving += more
	w.mu.Unlock()
	w.tuner.change()
}

// TryReserveSlot implements worker.SlotSupplier.
func (w *Watch) TryReserveSlot(info worker.SlotReservationInfo) *worker.SlotPermit {
	if w.tuner.closed.Err() != nil {
		return nil
	}
	permit := w.inner.TryReserveSlot(info)
	w.issue(permit)
	return permit
}

func (w *Watch) issue(permit *worker.SlotPermit) {
	if permit == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.polls[permit] = time.Now()
}

// MarkSlotUsed implements worker.SlotSupplier: the poll has brought a task.
func (w *Watch) MarkSlotUsed(info worker.SlotMarkUsedInfo) {
	w.inner.MarkSlotUsed(info)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.polls, info.Permit())
	w.used++
	w.lastUsed = time.Now()
	w.tuner.change()
}

// ReleaseSlot implements worker.SlotSupplier: the task is over, or none came.
func (w *Watch) ReleaseSlot(info worker.SlotReleaseInfo) {
	w.inner.ReleaseSlot(info)
	w.mu.Lock()
	if _, open := w.polls[info.Permit()]; open {
		delete(w.polls, info.Permit())
	} else {
		w.used--
	}
	w.mu.Unlock()
	w.tuner.change()
	w.thin()
}

// MaxSlots implements worker.SlotSupplier.
func (w *Watch) MaxSlots() int { return w.inner.MaxSlots() }

// issued is how many slots are handed out.
func (w *Watch) issued() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.polls) + w.used
}
