package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/internal/attempt"
	"github.com/concurry-go/concurry/internal/chain"
	"github.com/concurry-go/concurry/retrypolicy"
)

const (
	pluginName = "concurry"
	modulePath = "github.com/concurry-go/concurry"
	// stopTimeout is the WorkerStopTimeout of workers that set none.
	stopTimeout = 10 * time.Second
	// defaultSlots is the SDK's MaxConcurrentActivityExecutionSize.
	defaultSlots = 1000
)

// Option refines a plugin, and with it a worker: Policies, Observe, Slots,
// LimitMetrics or Random.
type Option interface {
	apply(h *attempt.Host) error
}

// Policies are options by activity type, for activities that exist already:
// registered and called without this package. The engine then governs them on
// this worker. AttemptTimeout is the engine's and holds; the other timeouts, and
// the server's own retry policy, stay the caller's. Validators know no types
// here, so there are none.
//
// A name that no activity of the worker has is an error when it starts.
type Policies map[string]activity.Options

func (p Policies) apply(h *attempt.Host) error {
	for _, activityType := range slices.Sorted(maps.Keys(p)) {
		spec, err := activity.PolicySpec(activityType, p[activityType])
		if err != nil {
			return chain.Each(err, func(err error) error { return fmt.Errorf("worker: Policies: %w", err) })
		}
		if h.Knows(activityType) {
			return fmt.Errorf("worker: Policies: %s: given twice", activityType)
		}
		h.Add(spec)
	}
	return nil
}

type option func(h *attempt.Host) error

func (o option) apply(h *attempt.Host) error { return o(h) }

// Observe tells observers of every attempt that ends on the worker, of all
// methods of definitions, and of activities in Policies.
func Observe(observers ...retrypolicy.Observer) Option {
	return option(func(h *attempt.Host) error {
		for i, o := range observers {
			if o == nil {
				return fmt.Errorf("worker: Observe: observer %d is nil", i)
			}
		}
		h.Observers = append(h.Observers, observers...)
		return nil
	})
}

// Random replaces the source of jitter, such as with testsuite.Seeded in tests:
// uniform in [0, n), safe for concurrent use.
func Random(source func(n int64) int64) Option {
	return option(func(h *attempt.Host) error {
		if source == nil {
			return errors.New("worker: Random: the source is nil")
		}
		h.Clock.Random = source
		return nil
	})
}

// Refine applies options to an engine; package testsuite uses it.
func Refine(host *attempt.Host, options ...Option) error {
	var errs []error
	for i, o := range options {
		if o == nil {
			errs = append(errs, fmt.Errorf("worker: option %d is nil", i))
			continue
		}
		errs = append(errs, o.apply(host))
	}
	return errors.Join(errs...)
}

// PluginSet is the plugin, for worker.Options.Plugins or client.Options.Plugins
// of Temporal's SDK. In the client's it also gives Submit its header, and
// applies to every worker made with that client.
type PluginSet struct {
	*temporal.SimplePlugin
	options []Option
	host    *attempt.Host
}

// Plugin makes the plugin. It panics on options that are wrong, naming the
// activity and the field; NewPlugin returns an error instead.
func Plugin(options ...Option) *PluginSet {
	p, err := NewPlugin(options...)
	if err != nil {
		panic(err)
	}
	return p
}

// NewPlugin makes the plugin.
func NewPlugin(options ...Option) (*PluginSet, error) {
	host := &attempt.Host{Clock: attempt.Clock{}.WithDefaults()}
	if err := Refine(host, options...); err != nil {
		return nil, err
	}
	var submitted submittedCalls
	names, reports := &policyNames{host: host}, &reporting{}
	simple, err := temporal.NewSimplePlugin(temporal.SimplePluginOptions{
		Name:               pluginName,
		Version:            version(),
		ClientInterceptors: []interceptor.ClientInterceptor{&attempt.ClientInterceptor{}},
		WorkerInterceptors: []interceptor.WorkerInterceptor{host.Interceptor()},
		ConfigureWorker: func(_ context.Context, o worker.PluginConfigureWorkerOptions) error {
			if o.WorkerOptions.WorkerStopTimeout == 0 {
				o.WorkerOptions.WorkerStopTimeout = stopTimeout
			}
			if err := checkOptions(o.WorkerOptions, host); err != nil {
				return err // the SDK panics with it
			}
			if host.Reserve != nil {
				if err := limitSlots(o.WorkerOptions, host.Reserve); err != nil {
					return err
				}
			}
			host.DefaultHeartbeatThrottle, host.MaxHeartbeatThrottle = o.WorkerOptions.DefaultHeartbeatThrottleInterval, o.WorkerOptions.MaxHeartbeatThrottleInterval
			host.Sessions, host.StopTimeout = o.WorkerOptions.EnableSessionWorker, o.WorkerOptions.WorkerStopTimeout
			o.WorkerOptions.Interceptors = host.Replace(o.WorkerOptions.Interceptors)
			host.Slots = o.WorkerOptions.MaxConcurrentActivityExecutionSize
			if host.Slots == 0 {
				host.Slots = defaultSlots
			}
			submitted.configure(&o)
			if o.WorkerRegistryOptions != nil {
				names.watch(o.WorkerRegistryOptions)
			}
			return nil
		},
		ConfigureClient: func(ctx context.Context, o client.PluginConfigureClientOptions) error {
			names.shared = true
			return configureClient(ctx, o)
		},
		RunContextBefore: func(ctx context.Context, o temporal.SimplePluginRunContextBeforeOptions) error {
			if err := names.check(); err != nil && !o.WorkflowReplayer {
				return err
			}
			if !o.WorkflowReplayer {
				if err := know(host, o.Registry); err != nil {
					return err
				}
			}
			if !o.WorkflowReplayer {
				reports.begin(o.InstanceKey, host)
			}
			return submitted.register(ctx, o)
		},
		RunContextAfter: func(_ context.Context, o temporal.SimplePluginRunContextAfterOptions) {
			reports.end(o.InstanceKey)
		},
	})
	if err != nil {
		return nil, err
	}
	return &PluginSet{SimplePlugin: simple, options: options, host: host}, nil
}

// version is this module's, which Temporal shows for each worker ("temporal
// worker describe"); "(devel)" where the program is built from a checkout.
var version = sync.OnceValue(func() string { //nolint:gochecknoglobals // constant
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == modulePath {
			return m.Version
		}
	}
	return ""
})

// checkOptions refuses options of a worker that do not go together.
func checkOptions(o *worker.Options, host *attempt.Host) error {
	if o.EnableSessionWorker && versioned(o) {
		return errors.New("worker: EnableSessionWorker: Temporal has no sessions on workers with versioning: unset it, or DeploymentOptions.UseVersioning and UseBuildIDForVersioning")
	}
	if n := o.MaxConcurrentActivityExecutionSize; host.Reserve != nil && n != 0 {
		return fmt.Errorf("worker: MaxConcurrentActivityExecutionSize %d: must be 0 with Slots, which decide it", n)
	}
	return nil
}

// versioned tells whether a worker has versioning, the deprecated one included.
func versioned(o *worker.Options) bool {
	return o.DeploymentOptions.UseVersioning || o.UseBuildIDForVersioning //nolint:staticcheck // workers that exist may use it
}

// fresh is the same plugin, refined further, with a host of its own: each worker
// counts its own slots and has its own definitions.
func (p *PluginSet) fresh(refine []Option) (*PluginSet, error) {
	return NewPlugin(slices.Concat(p.options, refine)...)
}
