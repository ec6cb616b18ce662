package worker

import (
	"context"
	"sync"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/internal/fallback"
)

// submittedCalls registers the workflow that runs submitted calls on servers
// without standalone activities. One plugin may serve many workers.
type submittedCalls struct {
	mu      sync.Mutex
	workers map[string]workflow.VersioningBehavior // by instance key, until they start
}

// configure notes a worker that runs workflows. Registering one with a worker
// that does not would panic.
func (s *submittedCalls) configure(o *worker.PluginConfigureWorkerOptions) {
	if o.WorkerOptions.DisableWorkflowWorker {
		return
	}
	behavior := workflow.VersioningBehaviorUnspecified
	if o.WorkerOptions.DeploymentOptions.UseVersioning {
		behavior = workflow.VersioningBehaviorAutoUpgrade // it is the same in all of them
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.workers == nil {
		s.workers = map[string]workflow.VersioningBehavior{}
	}
	s.workers[o.WorkerInstanceKey] = behavior
}

// register is called when a worker starts, and before a replay.
func (s *submittedCalls) register(_ context.Context, o temporal.SimplePluginRunContextBeforeOptions) error {
	s.mu.Lock()
	behavior, ok := s.workers[o.InstanceKey]
	delete(s.workers, o.InstanceKey)
	s.mu.Unlock()
	if ok || o.WorkflowReplayer {
		o.Registry.RegisterWorkflowWithOptions(fallback.RunSubmittedCall, workflow.RegisterOptions{
			Name:               fallback.WorkflowType,
			VersioningBehavior: behavior,
			// The client's plugin has done it, if both have one.
			DisableAlreadyRegisteredCheck: true,
		})
	}
	return nil
}
