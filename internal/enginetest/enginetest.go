// Package enginetest runs one call in every engine there is, for tests that
// hold in all of them.
package enginetest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	sdkworkflow "go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// Engine is one way to run a call.
type Engine string

const (
	// Sync runs in this process, on a clock that does not wait.
	Sync Engine = "sync"
	// Environment is Temporal's test environment.
	Environment Engine = "environment"
	// InPlace is a real server, every wait slept by the worker.
	InPlace Engine = "server-in-place"
	// OnServer is a real server, every wait its own.
	OnServer Engine = "server-waits"
)

// Engines are all of them.
func Engines() []Engine { return []Engine{Sync, Environment, InPlace, OnServer} }

// Each runs test in every engine, in parallel.
func Each(t *testing.T, test func(t *testing.T, e Engine)) {
	t.Helper()
	for _, e := range Engines() {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			test(t, e)
		})
	}
}

// Policy is p with the waits where the engine wants them.
func (e Engine) Policy(p retrypolicy.Policy) retrypolicy.Policy {
	switch e {
	case InPlace:
		p.InPlace = time.Hour
	case OnServer:
		p.InPlace = -1
	}
	return p
}

// Real reports whether the engine has a Temporal server.
func (e Engine) Real() bool { return e == InPlace || e == OnServer }

// Timeout bounds a call of Run.
const Timeout = 60 * time.Second

// Next receives from ch, and fails the test where nothing comes for Timeout.
func Next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(Timeout):
		require.FailNow(t, "nothing came", "for %v", Timeout)
		panic("unreachable")
	}
}

// Run runs one call of a method, in a workflow where there are some. Jitter
// comes from testsuite.Seeded(1) in every engine.
func Run[S, In, Out any](t *testing.T, e Engine, d *activity.Definition[S], h *activity.MethodHandle[S, In, Out], impl S, in In) (Out, error) {
	t.Helper()
	workflow := func(ctx sdkworkflow.Context, in In) (Out, error) { return h.Execute(ctx, in).Get(ctx) }
	var out Out
	switch e {
	case Sync:
		return h.Inline(impl).WithClock(testsuite.NewClock().Clock()).Call(t.Context(), in)
	case Environment:
		env := testsuite.NewWorkflowEnvironment(t)
		env.SetTestTimeout(Timeout)
		testsuite.Register(t, env, d, impl)
		env.RegisterWorkflow(workflow)
		env.ExecuteWorkflow(workflow, in)
		require.True(t, env.IsWorkflowCompleted())
		if err := env.GetWorkflowError(); err != nil {
			return out, err
		}
		return out, env.GetWorkflowResult(&out)
	default:
		c := Client(t)
		queue := Queue(t)
		Start(t, c, queue, func(w *worker.Worker) {
			worker.Register(w, d, impl)
			w.RegisterWorkflow(workflow)
		}, worker.Random(testsuite.Seeded(1)))
		ctx, cancel := context.WithTimeout(t.Context(), Timeout)
		defer cancel()
		run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, workflow, in)
		require.NoError(t, err)
		return out, run.Get(ctx, &out)
	}
}

// Client is a client of the shared server that logs nothing: the failures that
// these tests are about are no news.
func Client(t testing.TB) client.Client {
	t.Helper()
	return testsuite.Dial(t, testsuite.Server(t), client.Options{Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
}

// Queue is a task queue nobody else uses.
func Queue(t testing.TB) string { return t.Name() + "-" + rand.Text()[:8] }

// Start runs a worker until t ends.
func Start(t testing.TB, c client.Client, queue string, register func(w *worker.Worker), refine ...worker.Option) *worker.Worker {
	t.Helper()
	w := worker.New(c, queue, worker.Options{WorkerStopTimeout: 2 * time.Second}, refine...)
	register(w)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	return w
}
