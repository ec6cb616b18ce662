package worker

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/internal/activityhost"
	"github.com/concurry-go/concurry/internal/callworkflow"
)

// registry is what a plugin is given to register with.
type registry interface {
	activityhost.Registry
	RegisterWorkflowWithOptions(w any, o workflow.RegisterOptions)
}

// callWorkflow is the workflow that runs submitted calls on servers without
// standalone activities, on a worker that runs workflows.
type callWorkflow struct {
	disabled bool // registering one with such a worker would panic
	behavior workflow.VersioningBehavior
}

func (f *callWorkflow) configure(o *worker.Options) {
	f.disabled = o.DisableWorkflowWorker
	if o.DeploymentOptions.UseVersioning {
		f.behavior = workflow.VersioningBehaviorAutoUpgrade // it is the same in all of them
	}
}

func (f *callWorkflow) register(r registry) {
	if !f.disabled {
		registerCallWorkflow(r, f.behavior)
	}
}

func registerCallWorkflow(r registry, behavior workflow.VersioningBehavior) {
	r.RegisterWorkflowWithOptions(callworkflow.RunSubmittedCall, workflow.RegisterOptions{
		Name:               callworkflow.WorkflowType,
		VersioningBehavior: behavior,
		// The client's plugin has done it, if both have one.
		DisableAlreadyRegisteredCheck: true,
	})
}
