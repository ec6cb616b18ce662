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
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/internal/activityhost"
	"github.com/concurry-go/concurry/internal/chain"
	"github.com/concurry-go/concurry/internal/registration"
	"github.com/concurry-go/concurry/retrypolicy"
)

const (
	pluginName = "concurry"
	modulePath = "github.com/concurry-go/concurry"
	// stopTimeout is the WorkerStopTimeout of workers that set none.
	stopTimeout = 10 * time.Second
)

// Option refines a plugin, and with it a worker: [Policies], [Host], [HostFunc],
// [Observe], [Inside], [Slots], [LimitMetrics], [AdoptBefore] or [Random].
type Option interface {
	apply(h *activityhost.Host) error
}

// Policies are options by activity type, for activities that exist already:
// registered and called without this package. The engine then governs them on
// this worker. AttemptTimeout is the engine's and holds; the other timeouts, and
// the server's own retry policy, stay the caller's. Validators know no types
// here, so there are none.
//
// A name that no activity of the worker has is an error when it starts, unless
// its plugin serves other workers too, one of which may have it. Methods of
// definitions are not named here: their options stand in their definition.
type Policies map[string]activity.Options

func (p Policies) apply(h *activityhost.Host) error {
	for _, activityType := range slices.Sorted(maps.Keys(p)) {
		spec, err := registration.PolicySpec(activityType, p[activityType])
		if err != nil {
			return chain.Each(err, func(err error) error { return fmt.Errorf("worker: Policies: %w", err) })
		}
		if h.Knows(activityType) {
			return fmt.Errorf("worker: Policies: %s: given twice", activityType)
		}
		h.Add(spec)
		h.Note(registration.IdleLimits(activityType, spec))
	}
	return nil
}

type option func(h *activityhost.Host) error

func (o option) apply(h *activityhost.Host) error { return o(h) }

// Observe calls observers after every attempt on the worker, of all methods of
// definitions, and of activities in [Policies].
func Observe(observers ...retrypolicy.Observer) Option {
	return option(func(h *activityhost.Host) error {
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
	return option(func(h *activityhost.Host) error {
		if source == nil {
			return errors.New("worker: Random: the source is nil")
		}
		h.Clock.Random = source
		return nil
	})
}

// refine applies options to an engine.
func refine(h *activityhost.Host, options []Option) error {
	var errs []error
	for i, o := range options {
		if o == nil {
			errs = append(errs, fmt.Errorf("worker: option %d is nil", i))
			continue
		}
		errs = append(errs, o.apply(h))
	}
	return errors.Join(errs...)
}

func init() { //nolint:gochecknoinits // package testsuite gets what users do not
	registration.Refine = func(host *activityhost.Host, options any) error {
		return refine(host, options.([]Option)) //nolint:forcetypeassert // package testsuite's types see to it
	}
}

// PluginSet is the plugin, for worker.Options.Plugins or client.Options.Plugins
// of Temporal's SDK. In the client's it also gives Submit its header, and
// applies to every worker made with that client. Each worker has an engine, and
// with it limits, of its own, however many share a plugin. Safe for concurrent
// use.
type PluginSet struct {
	*temporal.SimplePlugin
	options []Option

	mu      sync.Mutex
	workers map[string]*hosted // by instance key, from their making until they stop
	made    int                // how many there have been
	client  bool               // it is in a client's options
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
	if _, err := newHost(options); err != nil {
		return nil, err
	}
	p := &PluginSet{options: options, workers: map[string]*hosted{}}
	simple, err := temporal.NewSimplePlugin(temporal.SimplePluginOptions{
		Name:                      pluginName,
		Version:                   version(),
		ClientInterceptors:        []interceptor.ClientInterceptor{&activityhost.ClientInterceptor{}},
		ConfigureClient:           p.configureClient,
		ConfigureWorker:           p.configureWorker,
		ConfigureWorkflowReplayer: p.configureReplayer,
		RunContextBefore:          p.start,
	})
	if err != nil {
		return nil, err
	}
	p.SimplePlugin = simple
	return p, nil
}

// newHost is an engine refined by options, whose clock has no defaults yet.
func newHost(options []Option) (*activityhost.Host, error) {
	host := &activityhost.Host{}
	return host, refine(host, options)
}

func (p *PluginSet) configureClient(ctx context.Context, o client.PluginConfigureClientOptions) error {
	p.mu.Lock()
	p.client = true
	p.mu.Unlock()
	return configureClient(ctx, o)
}

// configureWorker gives a worker an engine. The SDK panics with its error.
func (p *PluginSet) configureWorker(_ context.Context, o worker.PluginConfigureWorkerOptions) error {
	host, err := newHost(p.options)
	if err != nil {
		return err
	}
	h, err := newHosted(host, &o)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.workers[o.WorkerInstanceKey] = h
	p.made++
	return nil
}

// configureReplayer gives a replayer the side of workflows.
func (p *PluginSet) configureReplayer(_ context.Context, o worker.PluginConfigureWorkflowReplayerOptions) error {
	host, err := newHost(p.options)
	if err != nil {
		return err
	}
	o.WorkflowReplayerOptions.Interceptors = host.Replace(o.WorkflowReplayerOptions.Interceptors)
	return nil
}

// start is called before a worker polls, and before a replay.
func (p *PluginSet) start(_ context.Context, o temporal.SimplePluginRunContextBeforeOptions) error {
	if o.WorkflowReplayer {
		registerCallWorkflow(o.Registry, workflow.VersioningBehaviorUnspecified)
		return nil
	}
	p.mu.Lock()
	h, others := p.workers[o.InstanceKey], p.client || p.made > 1
	p.mu.Unlock()
	if h == nil {
		return nil
	}
	return h.start(o.Registry, others)
}

// StopWorker stops a worker so that it loses no task: see Worker.Stop.
func (p *PluginSet) StopWorker(ctx context.Context, o worker.PluginStopWorkerOptions, next func(context.Context, worker.PluginStopWorkerOptions)) {
	p.mu.Lock()
	h := p.workers[o.WorkerInstanceKey]
	delete(p.workers, o.WorkerInstanceKey)
	p.mu.Unlock()
	if h == nil {
		next(ctx, o)
		return
	}
	h.stop(func() { next(ctx, o) })
}

// check refuses options of a worker that do not go together with the plugin's.
func (p *PluginSet) check(o *worker.Options) error {
	host, err := newHost(p.options)
	if err != nil {
		return err
	}
	return checkOptions(o, host)
}

// sole is the worker of a plugin that has one.
func (p *PluginSet) sole() *hosted {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.workers {
		return h
	}
	return nil
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

// fresh is the same plugin, refined further, for one worker.
func (p *PluginSet) fresh(refine []Option) (*PluginSet, error) {
	return NewPlugin(slices.Concat(p.options, refine)...)
}
