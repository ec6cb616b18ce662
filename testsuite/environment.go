package testsuite

import (
	"log/slog"
	"testing"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/internal/activityhost"
	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/registration"
	"github.com/concurry-go/concurry/worker"
)

// WorkflowEnvironment is Temporal's TestWorkflowEnvironment with the engine
// inside. Waits between attempts follow the environment's clock: they take no
// time, and workflow timers fire in between as they would on a server. Those of
// local activities are skipped, and the clock does not move.
//
// Waits for limits follow the environment's clock too. A call waits for a rate exactly
// until it has room. A call that waits for a resource looks again from time to time,
// so it may wait a sixteenth longer than needed, at most 16 seconds longer. A Set,
// Keyed or Pool of the program is moved to the environment's clock by the first call
// that needs it and stays there until the test ends; units taken before still count.
// A set made by limits.NewWithClock keeps its clock. Do not share a set between
// parallel environments: only one of them can have it, and calls in the other wait
// without moving their environment's clock.
//
// Mocks of activities: function mocks run under the method's policy; Temporal's
// value mocks bypass every interceptor, and so the policy.
type WorkflowEnvironment struct {
	*testsuite.TestWorkflowEnvironment
	host *activityhost.Host
}

// ActivityEnvironment is Temporal's TestActivityEnvironment with the engine
// inside: all attempts of a call run in one ExecuteActivity, and waits only
// move its Clock. It is the clock of limits, too, as in a WorkflowEnvironment.
type ActivityEnvironment struct {
	*testsuite.TestActivityEnvironment
	// Clock is the time of waits and of Attempt.Elapsed.
	Clock *Clock
	host  *activityhost.Host
}

// Environment is either of the two.
type Environment interface {
	sdkworker.ActivityRegistry
	engine() *activityhost.Host
}

// NewWorkflowEnvironment makes an environment; it asserts the expectations of
// its mocks when t ends. It takes what workers are refined with, such as
// worker.Policies and worker.Observe; worker.Slots has no meaning here.
func NewWorkflowEnvironment(t testing.TB, refine ...worker.Option) *WorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(logger(t))
	env := suite.NewTestWorkflowEnvironment()
	host := &activityhost.Host{
		Clock:     engine.Clock{Now: env.Now, Sleep: skip, Random: Seeded(1)},
		Simulated: activityhost.SimulatedWorkflow,
		Sessions:  true,
	}
	o := options(t, host, refine)
	o.EnableSessionWorker = true
	o.DeadlockDetectionTimeout = deadlockDetection
	env.SetWorkerOptions(o)
	t.Cleanup(host.Close)
	t.Cleanup(func() { env.AssertExpectations(t) })
	e := &WorkflowEnvironment{TestWorkflowEnvironment: env, host: host}
	registerHosted(t, e)
	return e
}

// deadlockDetection is for machines that run many tests at once: workflow code
// that waits for its turn there has no deadlock after Temporal's one second.
const deadlockDetection = 10 * time.Second

// skip is how local activities wait, the only ones that sleep here: not at
// all, since the environment's clock stands still while they run.
func skip(_ time.Duration, wake ...<-chan struct{}) bool {
	for _, w := range wake {
		select {
		case <-w:
			return false
		default:
		}
	}
	return true
}

// NewActivityEnvironment makes an environment; see NewWorkflowEnvironment.
func NewActivityEnvironment(t testing.TB, refine ...worker.Option) *ActivityEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(logger(t))
	env := suite.NewTestActivityEnvironment()
	clock := NewClock()
	host := &activityhost.Host{Clock: engine.Clock{Now: clock.Now, Sleep: clock.sleep, Random: clock.draw}, Simulated: activityhost.SimulatedActivity}
	o := options(t, host, refine)
	env.SetWorkerOptions(o)
	t.Cleanup(host.Close)
	e := &ActivityEnvironment{TestActivityEnvironment: env, Clock: clock, host: host}
	registerHosted(t, e)
	return e
}

// logger shows warnings and errors with the test's own output.
func logger(t testing.TB) log.Logger {
	return log.NewStructuredLogger(slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
}

func options(t testing.TB, host *activityhost.Host, refine []worker.Option) sdkworker.Options {
	t.Helper()
	if err := registration.Refine(host, refine); err != nil {
		t.Fatal(err)
	}
	plugin, err := temporal.NewSimplePlugin(temporal.SimplePluginOptions{
		Name:               "concurry-testsuite",
		WorkerInterceptors: []interceptor.WorkerInterceptor{host.Interceptor()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return sdkworker.Options{Plugins: []sdkworker.Plugin{plugin}}
}

func (e *WorkflowEnvironment) engine() *activityhost.Host { return e.host }
func (e *ActivityEnvironment) engine() *activityhost.Host { return e.host }

// Register hosts a definition in an environment. A mistake fails the test.
func Register[S any](t testing.TB, env Environment, d *activity.Definition[S], impl S) {
	t.Helper()
	apply(t, env, registration.Bind(d, impl))
}

// RegisterFunc hosts a function in an environment.
func RegisterFunc[In, Out any](t testing.TB, env Environment, h *activity.FuncHandle[In, Out]) {
	t.Helper()
	apply(t, env, registration.Bind(h, nil))
}

func apply(t testing.TB, env Environment, r *registration.Registration) {
	t.Helper()
	if err := registration.Apply([]*registration.Registration{r}, env, env.engine()); err != nil {
		t.Fatal(err)
	}
}

// registerHosted hosts what worker.Host and worker.HostFunc name.
func registerHosted(t testing.TB, env Environment) {
	t.Helper()
	if err := env.engine().RegisterHosted(env); err != nil {
		t.Fatal(err)
	}
}
