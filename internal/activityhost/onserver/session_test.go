package onserver_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// inSession is a definition whose body acquires the session's one unit itself,
// tells what it holds, and goes on when it is told to.
type inSession struct {
	*Scripted
	d  *activity.Definition[*Scripted]
	do *ScriptedHandle

	mu     sync.Mutex
	leases map[string]limits.Lease // by input
	held   chan string
	goOn   chan struct{}
}

func newInSession(source limits.Source) *inSession {
	s := &inSession{leases: map[string]limits.Lease{}, held: make(chan string, 100), goOn: make(chan struct{})}
	s.Scripted = &Scripted{Body: func(ctx context.Context, _ int, in string) (string, error) {
		lease, err := limits.Acquire(ctx, limits.Units{"c": 1})
		if err != nil {
			return "", retrypolicy.Permanent(err)
		}
		s.mu.Lock()
		s.leases[in] = lease
		s.mu.Unlock()
		s.held <- in
		select {
		case <-s.goOn:
			return in, nil
		case <-lease.Context(ctx).Done():
			return "", retrypolicy.Permanent(context.Cause(lease.Context(ctx)))
		}
	}}
	s.d = activity.Define[*Scripted]("Scripted", activity.Options{
		CallTimeout: time.Minute, HeartbeatTimeout: time.Second, Limits: source,
	})
	s.do = activity.Method(s.d, "Do", (*Scripted).Do)
	return s
}

// lease is what a body has held.
func (s *inSession) lease(in string) limits.Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leases[in]
}

// sessions starts a worker that takes sessions.
func (s *inSession) worker(t *testing.T, c client.Client, queue string, workflows ...any) *worker.Worker {
	t.Helper()
	w := worker.New(c, queue, worker.Options{EnableSessionWorker: true, WorkerStopTimeout: time.Second})
	worker.Register(w, s.d, s.Scripted)
	for _, wf := range workflows {
		w.RegisterWorkflow(wf)
	}
	require.NoError(t, w.Start())
	return w
}

func options() activity.SessionOptions {
	return activity.SessionOptions{CreationTimeout: 20 * time.Second, HeartbeatTimeout: 3 * time.Second}
}

// two calls n methods in each of two sessions at once.
func (s *inSession) two(ctx workflow.Context, n int) error {
	done := workflow.NewWaitGroup(ctx)
	var failed error
	for session := range 2 {
		done.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer done.Done()
			failed = errors.Join(failed, activity.InSession(ctx, options(), func(ctx workflow.Context) error {
				var all []activity.Future[string]
				for call := range n {
					all = append(all, s.do.Execute(ctx, fmt.Sprint(session, " ", call)))
				}
				for _, f := range all {
					if _, err := f.Get(ctx); err != nil {
						return err
					}
				}
				return nil
			}))
		})
	}
	done.Wait(ctx)
	return failed
}

func TestSessionsDoNotBoundEachOther(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]limits.Source{
		"session scope": limits.PerSession(limits.Resource("c", 1)), "no explicit scope": limits.PerSessionOrWorker(limits.Resource("c", 1)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queue, c := Queue(t), Client(t)
			s := newInSession(source)
			w := s.worker(t, c, queue, s.two)
			t.Cleanup(w.Stop)
			run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, s.two, 2)
			require.NoError(t, err)
			first, second := Next(t, s.held), Next(t, s.held)
			assert.NotEqual(t, first[0], second[0], "one in each session, and nobody beside it")
			s.goOn <- struct{}{}
			s.goOn <- struct{}{}
			third, fourth := Next(t, s.held), Next(t, s.held)
			assert.NotEqual(t, third[0], fourth[0])
			close(s.goOn)
			require.NoError(t, run.Get(t.Context(), nil))
			if name == "no explicit scope" {
				sets, err := worker.Limits(w, s.d)
				require.NoError(t, err)
				assert.Empty(t, sets.Snapshots(), "the worker's was not used")
			}
		})
	}
}

func TestWorkersScopeBoundsAllSessionsOfAWorker(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	s := newInSession(limits.PerWorker(limits.Resource("c", 1)))
	w := s.worker(t, c, queue, s.two)
	t.Cleanup(w.Stop)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, s.two, 1)
	require.NoError(t, err)
	<-s.held
	sets, err := worker.Limits(w, s.d)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return sets.Snapshots()[""].Waiting == 1 }, 20*time.Second, time.Millisecond)
	close(s.goOn)
	require.NoError(t, run.Get(t.Context(), nil))
}

// one calls the method in a session, which goes on after the call.
func (s *inSession) one(ctx workflow.Context, how string) error {
	return activity.InSession(ctx, options(), func(ctx workflow.Context) error {
		call := s.do.Execute(ctx, "in")
		if how == "leaves" {
			// The call is under way when the session is completed.
			workflow.GetSignalChannel(ctx, "leave").Receive(ctx, nil)
			return errors.New("left")
		}
		_, err := call.Get(ctx)
		return err
	})
}

func TestWhatIsHeldInASessionEndsWithIt(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, c client.Client, run client.WorkflowRun, w *worker.Worker){
		"completion": func(t *testing.T, c client.Client, run client.WorkflowRun, _ *worker.Worker) {
			t.Helper()
			require.NoError(t, c.SignalWorkflow(t.Context(), run.GetID(), "", "leave", nil))
		},
		"cancellation": func(t *testing.T, c client.Client, run client.WorkflowRun, _ *worker.Worker) {
			t.Helper()
			require.NoError(t, c.CancelWorkflow(t.Context(), run.GetID(), ""))
		},
		"termination": func(t *testing.T, c client.Client, run client.WorkflowRun, _ *worker.Worker) {
			t.Helper()
			require.NoError(t, c.TerminateWorkflow(t.Context(), run.GetID(), "", "enough"))
		},
		"the worker's end": func(t *testing.T, _ client.Client, _ client.WorkflowRun, w *worker.Worker) {
			t.Helper()
			go w.Stop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queue, c := Queue(t), Client(t)
			s := newInSession(limits.PerSession(limits.Resource("c", 1)))
			w := s.worker(t, c, queue, s.one)
			t.Cleanup(w.Stop)
			run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, s.one, "leaves")
			require.NoError(t, err)
			<-s.held
			ctx := s.lease("in").Context(context.Background())
			end(t, c, run, w)
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Second):
				t.Fatal("it is still held")
			}
		})
	}
}

// A body that ignores its context loses what it holds all the same.
func TestBodyThatIgnoresTheSessionsEndLosesItsLease(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	release := make(chan struct{})
	lost := make(chan error, 1)
	impl := &Scripted{Body: func(ctx context.Context, _ int, _ string) (string, error) {
		lease, err := limits.Acquire(ctx, limits.Units{"c": 1})
		if err != nil {
			return "", err
		}
		held := lease.Context(context.WithoutCancel(ctx))
		<-held.Done()
		lost <- context.Cause(held)
		<-release
		return "", nil
	}}
	d := activity.Define[*Scripted]("Scripted", activity.Options{CallTimeout: time.Minute, HeartbeatTimeout: time.Second, Limits: limits.PerSession(limits.Resource("c", 1))})
	do := activity.Method(d, "Do", (*Scripted).Do)
	flow := func(ctx workflow.Context) error {
		return activity.InSession(ctx, options(), func(ctx workflow.Context) error {
			do.Execute(ctx, "x")
			workflow.GetSignalChannel(ctx, "leave").Receive(ctx, nil)
			return nil
		})
	}
	w := worker.New(c, queue, worker.Options{EnableSessionWorker: true, WorkerStopTimeout: time.Second})
	worker.Register(w, d, impl)
	w.RegisterWorkflow(flow)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	t.Cleanup(func() { close(release) })
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, flow)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return impl.Started.Load() == 1 }, 20*time.Second, time.Millisecond)
	require.NoError(t, c.SignalWorkflow(t.Context(), run.GetID(), "", "leave", nil))
	cause := Next(t, lost)
	require.ErrorIs(t, cause, limits.ErrLost)
	require.ErrorContains(t, cause, "the session has ended on this worker")
}

func TestSessionsInTheTestEnvironment(t *testing.T) {
	t.Parallel()
	env := testsuite.NewWorkflowEnvironment(t)
	env.SetTestTimeout(Timeout)
	s := newInSession(limits.PerSession(limits.Resource("c", 1)))
	testsuite.Register(t, env, s.d, s.Scripted)
	close(s.goOn)
	var leases []limits.Lease
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		for range 2 {
			if err := s.one(ctx, ""); err != nil {
				return err
			}
			leases = append(leases, s.lease("in"))
		}
		return nil
	})
	require.NoError(t, env.GetWorkflowError())
	assert.Len(t, leases, 2)
	for _, lease := range leases {
		assert.Nil(t, lease.Units())
	}
}

func TestSessionScopeOutsideASessionIsAnError(t *testing.T) {
	t.Parallel()
	s := newInSession(limits.PerSession(limits.Resource("c", 1)))
	const want = "Scripted.Do: Limits: they are a session's (limits.PerSession), so calls are made inside activity.InSession, by Execute"
	env := testsuite.NewWorkflowEnvironment(t)
	testsuite.Register(t, env, s.d, s.Scripted)
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		_, err := s.do.Execute(ctx, "x").Get(ctx)
		assert.EqualError(t, err, want)
		_, err = s.do.ExecuteLocal(ctx, "x").Get(ctx)
		assert.EqualError(t, err, want)
		return activity.InSession(ctx, options(), func(ctx workflow.Context) error {
			_, err = s.do.ExecuteLocal(ctx, "x").Get(ctx)
			assert.EqualError(t, err, want)
			return nil
		})
	})
	require.NoError(t, env.GetWorkflowError())
	_, err := s.do.With(activity.CallOptions{TaskQueue: "q"}).Submit(t.Context(), Lazy(t), "x")
	require.EqualError(t, err, want)
	_, err = s.do.Inline(s.Scripted).Call(t.Context(), "x")
	require.EqualError(t, err, "Scripted.Do: limits: they are a session's (limits.PerSession), and Inline runs in none: call the method by Execute, inside activity.InSession")
	assert.Zero(t, s.Started.Load())
}

func TestWorkersThatTakeNoSessionsAreToldSo(t *testing.T) {
	t.Parallel()
	s := newInSession(limits.PerSession(limits.Resource("c", 1)))
	w := worker.New(Lazy(t), "q", worker.Options{})
	worker.Register(w, s.d, s.Scripted)
	require.EqualError(t, w.Start(), "worker: Scripted.Do: Limits: they are a session's (limits.PerSession), and the worker takes none: set worker.Options.EnableSessionWorker")

	versions := sdkworker.DeploymentOptions{UseVersioning: true, Version: sdkworker.WorkerDeploymentVersion{DeploymentName: "d", BuildID: "1"}}
	w = worker.New(Lazy(t), "q", worker.Options{EnableSessionWorker: true, DeploymentOptions: versions})
	worker.Register(w, s.d, s.Scripted)
	require.ErrorContains(t, w.Start(), "worker: EnableSessionWorker: Temporal has no sessions on workers with versioning: unset it, or DeploymentOptions.UseVersioning")
	assert.PanicsWithError(t, "worker: EnableSessionWorker: Temporal has no sessions on workers with versioning: unset it, or DeploymentOptions.UseVersioning and UseBuildIDForVersioning", func() {
		sdkworker.New(Lazy(t), "q", sdkworker.Options{EnableSessionWorker: true, DeploymentOptions: versions, Plugins: []sdkworker.Plugin{worker.Plugin()}})
	})
}
