package worker

import (
	"go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/internal/slots"
)

// tuner is a worker's tuner, watched, and what its options said before.
type tuner struct {
	*slots.Tuner
	before                              worker.WorkerTuner
	workflows, activities, local, nexus int
}

// tune makes o's slots watched ones. reserve hands out those for activities; nil
// leaves them as they are.
func tune(o *worker.Options, reserve worker.SlotSupplier, watch func(worker.WorkerTuner) *slots.Tuner) error {
	t := &tuner{
		before:     o.Tuner,
		workflows:  o.MaxConcurrentWorkflowTaskExecutionSize,
		activities: o.MaxConcurrentActivityExecutionSize,
		local:      o.MaxConcurrentLocalActivityExecutionSize,
		nexus:      o.MaxConcurrentNexusTaskExecutionSize,
	}
	inner := o.Tuner
	if inner == nil { // as the SDK makes it
		var err error
		inner, err = worker.NewFixedSizeTuner(worker.FixedSizeTunerOptions{
			NumWorkflowSlots:      t.workflows,
			NumActivitySlots:      t.activities,
			NumLocalActivitySlots: t.local,
			NumNexusSlots:         t.nexus,
		})
		if err != nil {
			return err
		}
		sizes(o, 0, 0, 0, 0) // of a tuner's own
	}
	if reserve != nil {
		inner = &reserving{WorkerTuner: inner, activities: reserve}
	}
	t.Tuner = watch(inner)
	o.Tuner = t
	return nil
}

// untune takes back what the plugin of the worker's client has made of o: the
// last one decides.
func untune(o *worker.Options) {
	if t, ok := o.Tuner.(*tuner); ok {
		o.Tuner = t.before
		sizes(o, t.workflows, t.activities, t.local, t.nexus)
	}
}

func sizes(o *worker.Options, workflows, activities, local, nexus int) {
	o.MaxConcurrentWorkflowTaskExecutionSize = workflows
	o.MaxConcurrentActivityExecutionSize = activities
	o.MaxConcurrentLocalActivityExecutionSize = local
	o.MaxConcurrentNexusTaskExecutionSize = nexus
}

// reserving is a tuner with slots of its own for activities.
type reserving struct {
	worker.WorkerTuner
	activities worker.SlotSupplier
}

// GetActivityTaskSlotSupplier implements worker.WorkerTuner.
func (t *reserving) GetActivityTaskSlotSupplier() worker.SlotSupplier { return t.activities }
