package worker

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/internal/fallback"
)

// workflowRegistry is where workflows are registered.
type workflowRegistry interface {
	RegisterWorkflowWithOptions(w any, o workflow.RegisterOptions)
}

// fallbackWorkflow is the workflow that runs submitted calls on servers without
// standalone activities, on a worker that runs workflows.
type fallbackWorkflow struct {
	disabled bool // registering one with such a worker would panic
	behavior workflow.VersioningBehavior
}

func (f *fallbackWorkflow) configure(o *worker.Options) {
	f.disabled = o.DisableWorkflowWorker
	if o.DeploymentOptions.UseVersioning {
		f.behavior = workflow.VersioningBehaviorAutoUpgrade // it is the same in all of them
	}
}

func (f *fallbackWorkflow) register(registry workflowRegistry) {
	if !f.disabled {
		registerFallback(registry, f.behavior)
	}
}

func registerFallback(registry workflowRegistry, behavior workflow.VersioningBehavior) {
	registry.RegisterWorkflowWithOptions(fallback.RunSubmittedCall, workflow.RegisterOptions{
		Name:               fallback.WorkflowType,
		VersioningBehavior: behavior,
		// The client's plugin has done it, if both have one.
		DisableAlreadyRegisteredCheck: true,
	})
}
