package worker

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/internal/activityhost"
	"github.com/concurry-go/concurry/internal/chain"
	"github.com/concurry-go/concurry/internal/slots"
)

// hosted is one worker of a plugin: its engine, and what belongs to it.
type hosted struct {
	host    *activityhost.Host
	names   policyNames
	calls   callWorkflow
	reports reporting
}

// newHosted puts an engine into a worker's options.
func newHosted(host *activityhost.Host, o *worker.PluginConfigureWorkerOptions) (*hosted, error) {
	options := o.WorkerOptions
	h := &hosted{host: host, names: policyNames{host: host, policies: host.Governed()}}
	if options.WorkerStopTimeout == 0 {
		options.WorkerStopTimeout = stopTimeout
	}
	host.StopTimeout = options.WorkerStopTimeout
	host.DefaultHeartbeatThrottle, host.MaxHeartbeatThrottle = options.DefaultHeartbeatThrottleInterval, options.MaxHeartbeatThrottleInterval
	untune(options)
	options.Interceptors = host.Replace(options.Interceptors)
	host.Clock = host.Clock.WithDefaults()
	if err := checkOptions(options, host); err != nil {
		return nil, err
	}
	host.Sessions, host.TaskQueue = options.EnableSessionWorker, o.TaskQueue
	err := tune(options, host.Reserve, func(t worker.WorkerTuner) *slots.Tuner {
		host.Tuner = slots.NewTuner(t, slots.Options{
			Rate:     options.WorkerActivitiesPerSecond,
			Sessions: options.EnableSessionWorker && !options.LocalActivityWorkerOnly,
			Started:  h.tellNotes,
		})
		return host.Tuner
	})
	if err != nil {
		return nil, err
	}
	h.calls.configure(options)
	if o.WorkerRegistryOptions != nil {
		h.names.watch(o.WorkerRegistryOptions)
	}
	return h, nil
}

// checkOptions refuses options of a worker that do not go together.
func checkOptions(o *worker.Options, host *activityhost.Host) error {
	if o.EnableSessionWorker && versioned(o) {
		return errors.New("worker: EnableSessionWorker: Temporal has no sessions on workers with versioning: unset it, or DeploymentOptions.UseVersioning and UseBuildIDForVersioning")
	}
	if n := o.MaxConcurrentActivityExecutionSize; host.Reserve != nil && n != 0 {
		return fmt.Errorf("worker: MaxConcurrentActivityExecutionSize %d: must be 0 with Slots, which decide it", n)
	}
	if o.MaxConcurrentWorkflowTaskExecutionSize == 1 { // the SDK does not see it any more
		return errors.New("worker: MaxConcurrentWorkflowTaskExecutionSize 1: must be 0 (the default, 1000), or at least 2: with one slot a worker polls its sticky queue alone")
	}
	return nil
}

// versioned reports whether a worker has versioning, the deprecated one
// included.
func versioned(o *worker.Options) bool {
	return o.DeploymentOptions.UseVersioning || o.UseBuildIDForVersioning //nolint:staticcheck // workers that exist may use it
}

// start begins what goes on while the worker runs. others says that other
// workers may have the activities which this one lacks.
func (h *hosted) start(r registry, others bool) error {
	if err := h.host.RegisterHosted(r); err != nil {
		return chain.Each(err, prefixed)
	}
	if !others {
		if err := h.names.check(); err != nil {
			return err
		}
	}
	if err := know(h.host, r); err != nil {
		return err
	}
	h.calls.register(r)
	h.reports.begin(h.host)
	return nil
}

// tellNotes tells what may be a mistake, once the worker polls. It may be right
// as well, so it is no warning: right programs would have it at each start.
func (h *hosted) tellNotes(l log.Logger) {
	for _, note := range h.host.Notes {
		l.Info(note)
	}
}

// close makes the worker take no more tasks. The SDK's stop, which comes next,
// tells the server first that the worker goes, and the server then closes the
// polls of its sticky queue.
func (h *hosted) close() { h.host.Tuner.Close(h.host.StopTimeout) }

// stop stops the worker, by next. Its open polls are left to bring their tasks
// first, and what has come by then has WorkerStopTimeout to end: bodies in sessions
// before the worker is stopped, and the others after that.
func (h *hosted) stop(next func()) {
	h.host.Tuner.Drain(h.host.StopTimeout)
	h.host.FinishSessions()
	next()
	h.reports.end()
}
