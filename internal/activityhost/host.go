package activityhost

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/slots"
	"github.com/concurry-go/concurry/retrypolicy"
)

// Host is the engine of one Temporal worker. Add every spec before the worker
// starts; afterwards it is safe for concurrent use.
type Host struct {
	HostClient

	// Clock is time and chance of this worker's calls; see Clock.WithDefaults,
	// which comes after Replace.
	Clock engine.Clock
	// Simulated says that activities run in the SDK's test environment.
	Simulated Simulation
	// Observers are told of every attempt of this worker that ends.
	Observers []retrypolicy.Observer
	// Sessions reports whether the worker takes sessions.
	Sessions bool
	// StopTimeout is the worker's WorkerStopTimeout; see FinishSessions.
	StopTimeout time.Duration
	// Inside are in the path of each attempt, the first one outermost.
	Inside []interceptor.WorkerInterceptor
	// Reserve hands out the worker's slots for activities; nil for those of
	// its options.
	Reserve worker.SlotSupplier
	// Reports run while the worker does.
	Reports []Report
	// TaskQueue is the worker's own; activities of other queues are those of
	// sessions.
	TaskQueue string
	// Tuner watches the worker's slots; nil where there is no worker.
	Tuner *slots.Tuner
	// Notes are told when the worker starts: they may be mistakes.
	Notes []string
	// Hosted register the definitions that the worker's plugins host.
	Hosted []func(r Registry, h *Host) error

	// registered are the names of all activities of the worker; nil if that is
	// not known.
	registered map[string]bool

	specs  map[string]*engine.SpecCache
	sets   limitSets
	bodies sessionBodies
	line   line
	waited atomic.Int64 // nanoseconds that activities of a test environment have waited for limits
}

// Registry is the part of Temporal's registries that takes methods.
type Registry interface {
	RegisterActivityWithOptions(a any, options activity.RegisterOptions)
}

// RegisterHosted registers what plugins host. The error says all that is wrong.
func (h *Host) RegisterHosted(r Registry) error {
	var errs []error
	for _, register := range h.Hosted {
		errs = append(errs, register(r, h))
	}
	return errors.Join(errs...)
}

// Report tells somebody of the host, again and again, until ctx ends.
type Report interface {
	Run(ctx context.Context, h *Host)
}

// Simulation is which of the SDK's test environments a Host is in.
type Simulation int

const (
	// Real is no simulation.
	Real Simulation = iota
	// SimulatedWorkflow is TestWorkflowEnvironment: every wait is handed to
	// it, so that it follows the environment's clock.
	SimulatedWorkflow
	// SimulatedActivity is TestActivityEnvironment, which never retries:
	// every wait is the engine's.
	SimulatedActivity
)

// Add makes the engine govern an activity type.
func (h *Host) Add(s *engine.Spec) {
	if h.specs == nil {
		h.specs = map[string]*engine.SpecCache{}
	}
	h.specs[s.Method] = &engine.SpecCache{Spec: s}
}

// Registered notes a name of an activity that the worker has.
func (h *Host) Registered(name string) {
	if h.registered == nil {
		h.registered = map[string]bool{}
	}
	h.registered[name] = true
}

// Missing are those of some activity types that the worker does not have.
func (h *Host) Missing(types []string) (missing, has []string) {
	for _, name := range types {
		if !h.registered[name] {
			missing = append(missing, name)
		}
	}
	return missing, slices.Sorted(maps.Keys(h.registered))
}

// Governed are the activity types that the engine governs, in order.
func (h *Host) Governed() []string { return slices.Sorted(maps.Keys(h.specs)) }

// Knows reports whether the engine governs an activity type already.
func (h *Host) Knows(activityType string) bool { return h.specs[activityType] != nil }

// Foreign reports whether it does so since Policies say so.
func (h *Host) Foreign(activityType string) bool {
	known := h.specs[activityType]
	return known != nil && known.Spec.Foreign
}

// Note adds to Notes; empty ones are none.
func (h *Host) Note(note string) {
	if note != "" {
		h.Notes = append(h.Notes, note)
	}
}

// slotsOf are the slots of which an activity has one.
func (h *Host) slotsOf(info *activity.Info) *slots.Watch {
	return h.Tuner.Activities(info.TaskQueue != h.TaskQueue)
}

// Interceptor is the host as Temporal sees it.
func (h *Host) Interceptor() interceptor.WorkerInterceptor { return &workerInterceptor{host: h} }

type workerInterceptor struct {
	interceptor.WorkerInterceptorBase
	host *Host
}

// InterceptActivity puts the engine in the path of activities it knows, and
// Inside into that of all but the SDK's own.
func (w *workerInterceptor) InterceptActivity(ctx context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	info := activity.GetInfo(ctx)
	switch info.ActivityType.Name {
	case sessionCreation, sessionCompletion:
		s := &sessionActivity{host: w.host, ends: info.ActivityType.Name == sessionCompletion}
		s.Next = next
		if !s.ends && !w.host.Tuner.SessionBegins() {
			s.Next = &stopped{interceptor.ActivityInboundInterceptorBase{Next: next}}
		}
		return s
	}
	return w.host.inSession(&info, w.path(&info, w.inside(ctx, next)))
}

// inside puts Inside in front of the activity.
func (w *workerInterceptor) inside(ctx context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	for _, i := range slices.Backward(w.host.Inside) {
		next = i.InterceptActivity(ctx, next)
	}
	return next
}

// path is the engine, where it has anything to do.
func (w *workerInterceptor) path(info *activity.Info, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	known, ok := w.host.specs[info.ActivityType.Name]
	if !ok || !w.host.governs(known.Spec) && w.host.Simulated == Real && !asked(info.RetryPolicy) {
		return next // nothing of the engine's in the path
	}
	e := &execution{host: w.host, known: known}
	e.Next = next
	return e
}

// stopped is an activity that another worker should run.
type stopped struct {
	interceptor.ActivityInboundInterceptorBase
}

var errStopping = errors.New("worker: it is stopping, and begins no more sessions")

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (*stopped) ExecuteActivity(context.Context, *interceptor.ExecuteActivityInput) (any, error) {
	return nil, errStopping
}

// governs reports whether the engine has anything to do for a method here: also
// where there is no policy, if somebody wants to be told of its attempts.
func (h *Host) governs(s *engine.Spec) bool {
	return s.Governs() || len(s.Observers)+len(h.Observers) > 0
}

// asked reports whether the caller counts on the engine. Its header would say
// so, but cannot be read yet; its retry policy does too.
func asked(p *temporal.RetryPolicy) bool {
	return p != nil && slices.Contains(p.NonRetryableErrorTypes, failure.FailureOfSize)
}

// Replace takes the engines of other plugins, such as the client's, out of a
// worker's interceptors and takes over what they govern, and what they were
// refined with: two in one path would each count, and multiply the attempts.
// What h knows already stays its own, and nothing is left to the others.
func (h *Host) Replace(all []interceptor.WorkerInterceptor) []interceptor.WorkerInterceptor {
	rest := slices.DeleteFunc(slices.Clone(all), func(i interceptor.WorkerInterceptor) bool {
		other, ok := i.(*workerInterceptor)
		if ok && other.host != h {
			h.takeOver(other.host)
		}
		return ok
	})
	return append(rest, h.Interceptor())
}

func (h *Host) takeOver(other *Host) {
	h.Observers = append(h.Observers, other.Observers...)
	h.Reports = append(h.Reports, other.Reports...)
	h.Inside = slices.Concat(other.Inside, h.Inside)
	h.Notes = append(h.Notes, other.Notes...)
	h.Hosted = append(h.Hosted, other.Hosted...)
	if h.Reserve == nil {
		h.Reserve = other.Reserve
	}
	if h.Clock.Random == nil {
		h.Clock.Random = other.Clock.Random
	}
	if h.AdoptBefore.IsZero() {
		h.AdoptBefore = other.AdoptBefore
	}
	for name, known := range other.specs {
		if !h.Knows(name) {
			h.Add(known.Spec)
		}
	}
	*other = Host{Clock: other.Clock} // it governs nothing any more
}
