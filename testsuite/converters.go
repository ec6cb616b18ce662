package testsuite

import (
	"go.temporal.io/sdk/converter"

	"github.com/concurry-go/concurry/internal/converters"
)

// SetDataConverter gives the environment the program's converter, which the engine
// uses too, as with the plugin in client.Options.Plugins.
func (e *WorkflowEnvironment) SetDataConverter(dc converter.DataConverter) *WorkflowEnvironment {
	e.host.Parts.Data = converters.Tolerant(dc)
	e.TestWorkflowEnvironment.SetDataConverter(e.host.Parts.Data)
	if e.host.Parts.Failure == nil {
		e.TestWorkflowEnvironment.SetFailureConverter(converters.Failures(e.host.Parts.Data))
	}
	return e
}

// SetFailureConverter gives the environment the program's failure converter, which
// the engine uses too.
func (e *WorkflowEnvironment) SetFailureConverter(fc converter.FailureConverter) *WorkflowEnvironment {
	e.host.Parts.Failure = fc
	e.TestWorkflowEnvironment.SetFailureConverter(fc)
	return e
}

// SetDataConverter does what that of [WorkflowEnvironment] does.
func (e *ActivityEnvironment) SetDataConverter(dc converter.DataConverter) *ActivityEnvironment {
	e.host.Parts.Data = converters.Tolerant(dc)
	e.TestActivityEnvironment.SetDataConverter(e.host.Parts.Data)
	if e.host.Parts.Failure == nil {
		e.TestActivityEnvironment.SetFailureConverter(converters.Failures(e.host.Parts.Data))
	}
	return e
}

// SetFailureConverter does what that of [WorkflowEnvironment] does.
func (e *ActivityEnvironment) SetFailureConverter(fc converter.FailureConverter) *ActivityEnvironment {
	e.host.Parts.Failure = fc
	e.TestActivityEnvironment.SetFailureConverter(fc)
	return e
}
