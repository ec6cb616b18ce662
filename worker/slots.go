package worker

import (
	"context"
	"errors"
	"fmt"
	"math"

	"go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/internal/activityhost"
	"github.com/concurry-go/concurry/internal/limitengine"
	"github.com/concurry-go/concurry/limits"
)

// Slots lets the worker poll for an activity only when units can be acquired,
// and holds them until the activity task is over: for limits that every
// activity of the worker needs, so that it takes no task it could not run. What
// was acquired for a poll that brought no task is given back.
//
// A slot is one server attempt: waits in place between attempts keep it, in at
// most a quarter of the slots. Of these there are as many as the limits for
// resources allow, also after a Resize; rates bound how many begin, not how many
// there are. Do not use the same set in activity.Options.Limits: it would be acquired
// twice. Do not share it between workers: an idle worker's long poll holds the units
// while it waits for a task. Activities of sessions, and local ones, have slots of
// their own.
func Slots(limiter limits.Limiter, units limits.Units) Option {
	return option(func(h *activityhost.Host) error {
		if limiter == nil {
			return errors.New("worker: Slots: the limiter is nil")
		}
		source := limiter.EngineSource(limitengine.Access{})
		if err := source.CheckUnits(units); err != nil {
			return fmt.Errorf("worker: Slots: %w", err)
		}
		if len(units) == 0 && !source.ChargesCalls() {
			return errors.New("worker: Slots: no units, and no call limit: a slot would hold nothing")
		}
		h.Reserve = &limited{limiter: limiter, units: units}
		return nil
	})
}

// limited is a worker.SlotSupplier of what limits allow.
type limited struct {
	limiter limits.Limiter
	units   limits.Units
}

// ReserveSlot implements worker.SlotSupplier.
func (s *limited) ReserveSlot(ctx context.Context, _ worker.SlotReservationInfo) (*worker.SlotPermit, error) {
	lease, err := s.limiter.Acquire(ctx, s.units)
	if ctx.Err() != nil {
		lease.Undo()
		return nil, ctx.Err() // the worker stops
	}
	if err != nil {
		return nil, err
	}
	return &worker.SlotPermit{UserData: lease}, nil
}

// TryReserveSlot implements worker.SlotSupplier.
func (s *limited) TryReserveSlot(worker.SlotReservationInfo) *worker.SlotPermit {
	lease, err := s.limiter.TryAcquire(s.units)
	if err != nil {
		return nil
	}
	return &worker.SlotPermit{UserData: lease}
}

// unused is the SDK's reason of a slot for which no task came; it does not
// export the name.
const unused = 1

// MarkSlotUsed implements worker.SlotSupplier.
func (*limited) MarkSlotUsed(worker.SlotMarkUsedInfo) {}

// ReleaseSlot implements worker.SlotSupplier.
func (s *limited) ReleaseSlot(info worker.SlotReleaseInfo) {
	lease, _ := info.Permit().UserData.(limits.Lease)
	if info.Reason() == unused {
		lease.Undo()
		return
	}
	lease.Release()
}

// MaxSlots implements worker.SlotSupplier: the number may change.
func (*limited) MaxSlots() int { return 0 }

// Slots is how many slots there are now: what the limits for resources allow.
// Rates bound how many begin, not how many there are at once. Of other limiters
// than sets and pools it is not known.
func (s *limited) Slots() (n int, ok bool) {
	switch l := s.limiter.(type) {
	case *limits.Set:
		return s.in(l), true
	case *limits.Pool:
		for _, m := range l.Members() {
			if n += s.in(m.Set); n < 0 {
				return math.MaxInt, true
			}
		}
		return n, true
	default:
		return 0, false
	}
}

// in is how many slots one set has.
func (s *limited) in(set *limits.Set) int {
	n := math.MaxInt
	for _, l := range set.Snapshot().Limits {
		if units := s.units[l.Name]; l.Kind == limits.KindResource && units > 0 {
			n = min(n, int(l.Capacity)/units)
		}
	}
	return n
}
