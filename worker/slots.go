package worker

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/internal/attempt"
	"github.com/concurry-go/concurry/limits"
)

// Slots lets the worker poll for an activity only when units can be acquired,
// and holds them until the activity task is over: for limits that every
// activity of the worker needs, so that it takes no task it could not run. What
// was acquired for a poll that brought no task is given back.
//
// A slot is one server attempt: waits in place between attempts keep it. Do not
// name the same set in activity.Options.Limits, where it would be acquired once
// more, nor for another worker, whose polls in vain would hold its units.
// Activities of sessions, and local ones, have slots of their own.
func Slots(limiter limits.Limiter, units limits.Units) Option {
	return option(func(h *attempt.Host) error {
		if limiter == nil {
			return errors.New("worker: Slots: the limiter is nil")
		}
		if source, ok := limiter.(limits.Source); ok {
			if err := source.CheckUnits(units); err != nil {
				return fmt.Errorf("worker: Slots: %w", err)
			}
			if len(units) == 0 && !source.Charging() {
				return errors.New("worker: Slots: no units, and no call limit: a slot would hold nothing")
			}
		}
		h.Reserve = &slots{limiter: limiter, units: units}
		return nil
	})
}

// slots is a worker.SlotSupplier.
type slots struct {
	limiter limits.Limiter
	units   limits.Units
}

// ReserveSlot implements worker.SlotSupplier.
func (s *slots) ReserveSlot(ctx context.Context, _ worker.SlotReservationInfo) (*worker.SlotPermit, error) {
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
func (s *slots) TryReserveSlot(worker.SlotReservationInfo) *worker.SlotPermit {
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
func (*slots) MarkSlotUsed(worker.SlotMarkUsedInfo) {}

// ReleaseSlot implements worker.SlotSupplier.
func (s *slots) ReleaseSlot(info worker.SlotReleaseInfo) {
	lease, _ := info.Permit().UserData.(limits.Lease)
	if info.Reason() == unused {
		lease.Undo()
		return
	}
	lease.Release()
}

// MaxSlots implements worker.SlotSupplier: the set says how many.
func (*slots) MaxSlots() int { return 0 }

// limitedTuner is a tuner whose activities' slots are limited.
type limitedTuner struct {
	worker.WorkerTuner
	activities worker.SlotSupplier
}

// GetActivityTaskSlotSupplier implements worker.WorkerTuner.
func (t *limitedTuner) GetActivityTaskSlotSupplier() worker.SlotSupplier { return t.activities }

// limitSlots puts the supplier into a worker's options.
func limitSlots(o *worker.Options, supplier worker.SlotSupplier) error {
	if o.Tuner == nil {
		tuner, err := worker.NewFixedSizeTuner(worker.FixedSizeTunerOptions{
			NumWorkflowSlots:      o.MaxConcurrentWorkflowTaskExecutionSize,
			NumLocalActivitySlots: o.MaxConcurrentLocalActivityExecutionSize,
			NumNexusSlots:         o.MaxConcurrentNexusTaskExecutionSize,
		})
		if err != nil {
			return err
		}
		o.Tuner = tuner
		o.MaxConcurrentWorkflowTaskExecutionSize, o.MaxConcurrentLocalActivityExecutionSize, o.MaxConcurrentNexusTaskExecutionSize = 0, 0, 0
	}
	o.Tuner = &limitedTuner{WorkerTuner: o.Tuner, activities: supplier}
	return nil
}
