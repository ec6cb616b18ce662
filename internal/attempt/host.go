package attempt

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/retrypolicy"
)

// Host is the engine of one Temporal worker. Add every spec before the worker
// starts; afterwards it is safe for concurrent use.
type Host struct {
	HostClient

	// Clock is time and chance of this worker's calls.
	Clock Clock
	// Simulated says that activities run in the SDK's test environment.
	Simulated Simulation
	// Observers are told of every attempt of this worker that ends.
	Observers []retrypolicy.Observer
	// Sessions tells whether the worker takes sessions.
	Sessions bool
	// StopTimeout is the worker's WorkerStopTimeout; see FinishSessions.
	StopTimeout time.Duration
	// Reserve hands out the worker's slots for activities; nil for a number of
	// them.
	Reserve worker.SlotSupplier
	// Reports run while the worker does.
	Reports []Report
	// Slots is how many activities the worker runs at once; a quarter of them
	// may sleep between attempts.
	Slots int

	// registered are the names of all activities of the worker; nil if that is
	// not known.
	registered map[string]bool

	specs    map[string]*hosted
	sets     limitSets
	bodies   sessionBodies
	sleeping atomic.Int64
	waited   atomic.Int64 // nanoseconds that activities of a test environment have waited for limits
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
func (h *Host) Add(s *Spec) {
	if h.specs == nil {
		h.specs = map[string]*hosted{}
	}
	h.specs[s.Method] = &hosted{spec: s}
}

// Registered notes a name of an activity that the worker has.
func (h *Host) Registered(name string) {
	if h.registered == nil {
		h.registered = map[string]bool{}
	}
	h.registered[name] = true
}

// Missing are the governed activity types that the worker does not have.
func (h *Host) Missing() (missing, has []string) {
	for name := range h.specs {
		if !h.registered[name] {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return missing, slices.Sorted(maps.Keys(h.registered))
}

// Knows tells whether the engine governs an activity type already.
func (h *Host) Knows(activityType string) bool { return h.specs[activityType] != nil }

// mostAsleep is how many activities of the worker may sleep at once.
func (h *Host) mostAsleep() int64 {
	if h.Slots <= 0 {
		return math.MaxInt64
	}
	return max(int64(h.Slots)/4, 1)
}

// Interceptor is the host as Temporal sees it.
func (h *Host) Interceptor() interceptor.WorkerInterceptor { return &workerInterceptor{host: h} }

type workerInterceptor struct {
	interceptor.WorkerInterceptorBase
	host *Host
}

// InterceptActivity puts the engine in the path of activities it knows.
func (w *workerInterceptor) InterceptActivity(ctx context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	info := activity.GetInfo(ctx)
	switch info.ActivityType.Name {
	case sessionCreation, sessionCompletion:
		s := &sessionActivity{host: w.host, ends: info.ActivityType.Name == sessionCompletion}
		s.Next = next
		return s
	}
	return w.host.inSession(&info, w.path(&info, next))
}

// path is the engine, where it has anything to do.
func (w *workerInterceptor) path(info *activity.Info, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	known, ok := w.host.specs[info.ActivityType.Name]
	if !ok || !w.host.governs(known.spec) && w.host.Simulated == Real && !asked(info.RetryPolicy) {
		return next // nothing in the path
	}
	e := &execution{host: w.host, known: known}
	e.Next = next
	return e
}

// governs tells whether the engine has anything to do for a method here: also
// where there is no policy, if somebody wants to be told of its attempts.
func (h *Host) governs(s *Spec) bool {
	return s.Governs() || len(s.Observers)+len(h.Observers) > 0
}

// asked tells whether the caller counts on the engine. Its header would say
// so, but cannot be read yet; its retry policy does too.
func asked(p *temporal.RetryPolicy) bool {
	return p != nil && slices.Contains(p.NonRetryableErrorTypes, FailureOfSize)
}

// Replace takes the engines of other plugins, such as the client's, out of a
// worker's interceptors and takes over what they govern, their observers and
// reports: two in one path would each count, and multiply the attempts. What h knows
// already stays its own.
func (h *Host) Replace(all []interceptor.WorkerInterceptor) []interceptor.WorkerInterceptor {
	rest := slices.DeleteFunc(slices.Clone(all), func(i interceptor.WorkerInterceptor) bool {
		other, ok := i.(*workerInterceptor)
		if !ok || other.host == h {
			return ok
		}
		h.Observers = append(h.Observers, other.host.Observers...)
		h.Reports = append(h.Reports, other.host.Reports...)
		for name, known := range other.host.specs {
			if !h.Knows(name) {
				h.Add(known.spec)
			}
		}
		return true
	})
	return append(rest, h.Interceptor())
}
