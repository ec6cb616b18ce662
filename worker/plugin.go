package worker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/internal/attempt"
)

const (
	pluginName = "concurry"
	// stopTimeout is the WorkerStopTimeout of workers that set none.
	stopTimeout = 10 * time.Second
	// defaultSlots is the SDK's MaxConcurrentActivityExecutionSize.
	defaultSlots = 1000
)

// Policies are options by activity type, for activities that exist already:
// registered and called without this package. The engine then governs them on
// this worker; timeouts, and the server's own retry policy, stay the caller's.
type Policies map[string]activity.Options

// PluginSet is the plugin, for worker.Options.Plugins or client.Options.Plugins
// of Temporal's SDK. In the client's it also gives Submit its header, and
// applies to every worker made with that client.
type PluginSet struct {
	*temporal.SimplePlugin
	policies []Policies
	host     *attempt.Host
}

// Plugin makes the plugin. It panics on policies that are wrong, naming the
// activity and the field; NewPlugin returns an error instead.
func Plugin(policies ...Policies) *PluginSet {
	p, err := NewPlugin(policies...)
	if err != nil {
		panic(err)
	}
	return p
}

// NewPlugin makes the plugin.
func NewPlugin(policies ...Policies) (*PluginSet, error) {
	host := &attempt.Host{Clock: attempt.Clock{}.WithDefaults()}
	for _, set := range policies {
		for _, activityType := range slices.Sorted(maps.Keys(set)) {
			spec, err := activity.PolicySpec(activityType, set[activityType])
			if err != nil {
				return nil, fmt.Errorf("worker: Policies: %w", err)
			}
			if host.Knows(activityType) {
				return nil, fmt.Errorf("worker: Policies: %s: given twice", activityType)
			}
			host.Add(spec)
		}
	}
	return newPlugin(host, policies)
}

func newPlugin(host *attempt.Host, policies []Policies) (*PluginSet, error) {
	var submitted submittedCalls
	simple, err := temporal.NewSimplePlugin(temporal.SimplePluginOptions{
		Name:               pluginName,
		ClientInterceptors: []interceptor.ClientInterceptor{&attempt.ClientInterceptor{}},
		WorkerInterceptors: []interceptor.WorkerInterceptor{host.Interceptor()},
		ConfigureWorker: func(_ context.Context, o worker.PluginConfigureWorkerOptions) error {
			if o.WorkerOptions.WorkerStopTimeout == 0 {
				o.WorkerOptions.WorkerStopTimeout = stopTimeout
			}
			o.WorkerOptions.Interceptors = host.Replace(o.WorkerOptions.Interceptors)
			host.Slots = o.WorkerOptions.MaxConcurrentActivityExecutionSize
			if host.Slots == 0 {
				host.Slots = defaultSlots
			}
			submitted.configure(&o)
			return nil
		},
		RunContextBefore: submitted.register,
	})
	if err != nil {
		return nil, err
	}
	return &PluginSet{SimplePlugin: simple, policies: policies, host: host}, nil
}

// fresh is the same plugin with a host of its own: each worker counts its own
// slots and has its own definitions.
func (p *PluginSet) fresh() *PluginSet { return Plugin(p.policies...) }
