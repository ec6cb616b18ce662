package enginetest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// Mapped is one way to map over many inputs.
type Mapped func(t *testing.T, d *activity.Definition[*Scripted], do *ScriptedHandle, impl *Scripted, ins []string, options ...activity.MapOption) ([]string, error)

// Mappings are the three of them, and the workflow's in Temporal's test environment.
func Mappings() map[string]Mapped {
	inWorkflow := func(do *ScriptedHandle, outs *[]string, failed *error, options []activity.MapOption) func(workflow.Context, []string) error {
		return func(ctx workflow.Context, ins []string) error {
			*outs, *failed = do.Map(ctx, ins, options...)
			return nil
		}
	}
	return map[string]Mapped{
		"in this process": func(t *testing.T, _ *activity.Definition[*Scripted], do *ScriptedHandle, impl *Scripted, ins []string, options ...activity.MapOption) ([]string, error) {
			t.Helper()
			return do.Inline(impl).Map(t.Context(), ins, options...)
		},
		"environment": func(t *testing.T, d *activity.Definition[*Scripted], do *ScriptedHandle, impl *Scripted, ins []string, options ...activity.MapOption) (outs []string, err error) {
			t.Helper()
			env := testsuite.NewWorkflowEnvironment(t)
			env.SetTestTimeout(Timeout)
			testsuite.Register(t, env, d, impl)
			env.ExecuteWorkflow(inWorkflow(do, &outs, &err, options), ins)
			require.NoError(t, env.GetWorkflowError())
			return outs, err
		},
		"workflow": func(t *testing.T, d *activity.Definition[*Scripted], do *ScriptedHandle, impl *Scripted, ins []string, options ...activity.MapOption) (outs []string, err error) {
			t.Helper()
			queue, c := Queue(t), Client(t)
			w := inWorkflow(do, &outs, &err, options)
			Start(t, c, queue, func(worked *worker.Worker) {
				worker.Register(worked, d, impl)
				worked.RegisterWorkflowWithOptions(w, workflow.RegisterOptions{Name: "Map"})
			})
			run, startErr := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Map", ins)
			require.NoError(t, startErr)
			require.NoError(t, run.Get(t.Context(), nil))
			return outs, err
		},
		"submitted": func(t *testing.T, d *activity.Definition[*Scripted], do *ScriptedHandle, impl *Scripted, ins []string, options ...activity.MapOption) ([]string, error) {
			t.Helper()
			queue, c := Queue(t), Client(t)
			Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
			return do.With(activity.CallOptions{TaskQueue: queue, ID: queue}).SubmitMap(t.Context(), c, ins, options...)
		},
	}
}

func Inputs(n int) []string {
	ins := make([]string, n)
	for i := range ins {
		ins[i] = fmt.Sprint("input ", i)
	}
	return ins
}
