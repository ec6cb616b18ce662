package onserver_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/worker"
)

// The steps of docs/rollout.md. The program's activity exists, is retried by
// Temporal, and is called from the program's workflow.
type program struct {
	*testing.T
	client client.Client
	queue  string
	run    client.WorkflowRun
}

// progress is what the program's activity heartbeats.
type progress struct{ Page int }

const retriedByTemporal = 200 * time.Millisecond

// newProgram calls the activity once. Nobody serves it yet.
func newProgram(t *testing.T) *program {
	t.Helper()
	p := &program{T: t, client: Client(t), queue: Queue(t)}
	w := sdkworker.New(p.client, p.queue+"-workflows", sdkworker.Options{})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context) (string, error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			ActivityID: "import", TaskQueue: p.queue, StartToCloseTimeout: Timeout, HeartbeatTimeout: Timeout / 2,
			RetryPolicy: &temporal.RetryPolicy{InitialInterval: retriedByTemporal, BackoffCoefficient: 1},
		})
		var out string
		err := workflow.ExecuteActivity(ctx, "Import").Get(ctx, &out)
		return out, err
	}, workflow.RegisterOptions{Name: "Importing"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	run, err := p.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: p.queue + "-workflows"}, "Importing")
	require.NoError(t, err)
	p.run = run
	return p
}

// body is one start of the activity's body: what it sees, and how it ends.
type body func(ctx context.Context, n int) error

// serve runs a worker until the activity's body has been started a number of
// times; 0 is until the workflow ends, whose error it returns.
func (p *program) serve(until int, b body, plugins ...sdkworker.Plugin) (bodies int, end error) {
	p.Helper()
	started := make(chan struct{}, 100)
	w := sdkworker.New(p.client, p.queue, sdkworker.Options{Plugins: plugins})
	w.RegisterActivityWithOptions(func(ctx context.Context) (string, error) {
		bodies++
		defer func() { started <- struct{}{} }()
		return "imported", b(ctx, bodies)
	}, sdkactivity.RegisterOptions{Name: "Import"})
	require.NoError(p, w.Start())
	defer w.Stop()
	if until == 0 {
		ctx, cancel := context.WithTimeout(p.Context(), Timeout)
		defer cancel()
		end = p.run.Get(ctx, nil)
		require.NoError(p, ctx.Err(), "the call hangs")
		return bodies, end
	}
	for range until {
		Next(p.T, started)
	}
	return bodies, nil
}

func fails(_ context.Context, n int) error { return fmt.Errorf("failure %d", n) }

// importing is the policy that is rolled out: retries by the server, so that
// deploys come in between.
func importing(retries int, more ...worker.Option) sdkworker.Plugin {
	return worker.Plugin(append(more, worker.Policies{"Import": {Retry: retrypolicy.Policy{
		NumRetries: retries, Wait: retriedByTemporal, Backoff: retrypolicy.Constant, Jitter: retrypolicy.NoJitter, InPlace: -1,
	}}})...)
}

func TestRolloutOfThePluginAloneChangesNothing(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	var pages []int
	bodies, err := p.serve(0, func(ctx context.Context, n int) error {
		var seen progress
		if sdkactivity.HasHeartbeatDetails(ctx) {
			require.NoError(t, sdkactivity.GetHeartbeatDetails(ctx, &seen))
		}
		pages = append(pages, seen.Page)
		sdkactivity.RecordHeartbeat(ctx, progress{n})
		if n < 4 {
			return errors.New("not yet")
		}
		return nil
	}, worker.Plugin())
	require.NoError(t, err)
	assert.Equal(t, 4, bodies)
	assert.Equal(t, []int{0, 1, 2, 3}, pages)
}

func TestRolloutOfPoliciesToActivitiesUnderWay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		adopt worker.Option
		want  int
		text  string
	}{
		"all are adopted, with their whole budget": {worker.AdoptBefore(time.Now().Add(time.Hour)), 3, "failure 3; gave up after 3 attempts: retries spent"},
		"the last attempt counts":                  {worker.Observe(), 2, "failure 2; gave up after 3 attempts: retries spent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProgram(t)
			_, err := p.serve(4, fails)
			require.NoError(t, err)
			bodies, err := p.serve(0, fails, importing(2, test.adopt))
			assert.Equal(t, test.want, bodies)
			require.ErrorContains(t, err, test.text)
			assert.NotContains(t, err.Error(), "killed", "no worker has crashed")
		})
	}
}

// A new method, and an old worker on its queue that does not know it yet.
func TestRolloutToWorkersOneByOne(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	old := sdkworker.New(c, queue, sdkworker.Options{})
	old.RegisterActivityWithOptions(func(context.Context) error { return nil }, sdkactivity.RegisterOptions{Name: "Other"})
	require.NoError(t, old.Start())
	d, do := ScriptedWith(activity.Options{TaskQueue: queue, HeartbeatTimeout: Timeout / 2}, func(string, retrypolicy.Attempt) error { return nil })
	call := Submit(t, c, do, queue, "x")
	require.Eventually(t, func() bool {
		described, err := call.Describe(t.Context())
		return err == nil && described.LastFailure != ""
	}, Timeout, 10*time.Millisecond, "the old worker refuses it")
	old.Stop()
	impl := &Scripted{Body: func(_ context.Context, _ int, in string) (string, error) { return in, nil }}
	Start(t, c, queue, func(w *worker.Worker) { worker.Register(w, d, impl) })
	out, err := call.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "x", out)
	assert.EqualValues(t, 1, impl.Started.Load())
}

// Without the plugin the journal stands behind the activity's own details, where
// nothing decodes it by mistake.
func TestRollbackOfThePlugin(t *testing.T) {
	t.Parallel()
	t.Run("details of its own", func(t *testing.T) {
		t.Parallel()
		p := newProgram(t)
		_, err := p.serve(1, func(ctx context.Context, _ int) error {
			sdkactivity.RecordHeartbeat(ctx, progress{7})
			return errors.New("not yet")
		}, importing(5))
		require.NoError(t, err)
		var seen progress
		bodies, err := p.serve(0, func(ctx context.Context, _ int) error { return sdkactivity.GetHeartbeatDetails(ctx, &seen) })
		require.NoError(t, err)
		assert.Equal(t, progress{7}, seen)
		assert.Equal(t, 1, bodies)
	})
	t.Run("none of its own", func(t *testing.T) {
		t.Parallel()
		p := newProgram(t)
		_, err := p.serve(1, fails, importing(5))
		require.NoError(t, err)
		var seen progress
		var decoded error
		_, err = p.serve(0, func(ctx context.Context, _ int) error {
			decoded = sdkactivity.GetHeartbeatDetails(ctx, &seen)
			return nil
		})
		require.NoError(t, err)
		assert.ErrorContains(t, decoded, "json/concurry")
		assert.Zero(t, seen)
	})
}

// Bodies that other workers start in between are theirs.
func TestRolloutAfterARollback(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]body{
		"that leave no details": fails,
		"that write over journal": func(ctx context.Context, n int) error {
			sdkactivity.RecordHeartbeat(ctx, progress{n})
			return fails(ctx, n)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProgram(t)
			before, err := p.serve(2, fails, importing(4))
			require.NoError(t, err)
			_, err = p.serve(2, between)
			require.NoError(t, err)
			after, err := p.serve(0, fails, importing(4))
			require.ErrorContains(t, err, "retries spent")
			if name == "that leave no details" {
				assert.Equal(t, 5, before+after, "the budget is the call's")
				return
			}
			assert.LessOrEqual(t, after, 4, "the last attempt of another worker counts, and no other is known")
		})
	}
}

// An operator's unpause that resets heartbeats forgets the journal, and the server
// the last failure with it: one attempt counts, as for any activity that comes
// without a record.
func TestUnpauseThatResetsHeartbeatsForgetsTheJournal(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	execution := &commonpb.WorkflowExecution{WorkflowId: p.run.GetID(), RunId: p.run.GetRunID()}
	before, err := p.serve(3, func(ctx context.Context, n int) error {
		if n == 3 {
			_, err := p.client.WorkflowService().PauseActivity(ctx, &workflowservice.PauseActivityRequest{
				Namespace: "default", Execution: execution, Activity: &workflowservice.PauseActivityRequest_Id{Id: "import"},
			})
			assert.NoError(t, err)
		}
		return fails(ctx, n)
	}, importing(4))
	require.NoError(t, err)
	_, err = p.client.WorkflowService().UnpauseActivity(t.Context(), &workflowservice.UnpauseActivityRequest{
		Namespace: "default", Execution: execution, Activity: &workflowservice.UnpauseActivityRequest_Id{Id: "import"}, ResetHeartbeat: true,
	})
	require.NoError(t, err)
	after, err := p.serve(0, fails, importing(4))
	require.ErrorContains(t, err, "gave up after 5 attempts: retries spent")
	assert.Equal(t, 4, after, "%d before", before)
}
