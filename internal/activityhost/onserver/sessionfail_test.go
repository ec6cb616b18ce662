package onserver_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concurry-go/concurry/activity"
	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/worker"
)

// cuttable is a client whose requests all fail from the moment that cut is
// called, those under way too: what others see of a worker's death.
func cuttable(t *testing.T) (c client.Client, cut func()) {
	t.Helper()
	dead, cut := context.WithCancel(context.Background())
	t.Cleanup(cut)
	through := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if dead.Err() != nil {
			return status.Error(codes.Unavailable, "cut off")
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(dead, cancel)()
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	return testsuite.Dial(t, testsuite.Server(t), client.Options{
		Logger:            log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{grpc.WithUnaryInterceptor(through)}},
	}), cut
}

// sessionHost is a worker that takes sessions, whose bodies tell that they run
// and then stay until they are released, or their contexts end.
type sessionHost struct {
	w       *worker.Worker
	began   chan string
	release chan struct{}
	cut     func()
}

func hostSessions(t *testing.T, queue, name string, d *activity.Definition[*Scripted], stopTimeout time.Duration) *sessionHost {
	t.Helper()
	h := &sessionHost{began: make(chan string, 100), release: make(chan struct{})}
	var c client.Client
	c, h.cut = cuttable(t)
	h.w = worker.New(c, queue, worker.Options{EnableSessionWorker: true, WorkerStopTimeout: stopTimeout})
	stay := func(ctx context.Context, in string) (string, error) {
		h.began <- in
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-h.release:
			return in + " on " + name, nil
		}
	}
	worker.Register(h.w, d, &Scripted{Body: func(ctx context.Context, _ int, in string) (string, error) { return stay(ctx, in) }})
	h.w.RegisterActivityWithOptions(stay, sdkactivity.RegisterOptions{Name: "Plain"})
	require.NoError(t, h.w.Start())
	t.Cleanup(h.w.Stop)
	return h
}

// inASession are ways to make a call in a session, those of the names.
func inASession(do *ScriptedHandle, names ...string) map[string]func(ctx workflow.Context, in string) (string, error) {
	all := map[string]func(ctx workflow.Context, in string) (string, error){
		"Execute": func(ctx workflow.Context, in string) (string, error) { return do.Execute(ctx, in).Get(ctx) },
		"Execute, which waits for cancellation": func(ctx workflow.Context, in string) (string, error) {
			ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{WaitForCancellation: true})
			return do.Execute(ctx, in).Get(ctx)
		},
		"Map": func(ctx workflow.Context, in string) (string, error) {
			outs, err := do.Map(ctx, []string{in, in, in}, activity.Concurrency(2))
			return outs[2], err
		},
		"workflow.ExecuteActivity": func(ctx workflow.Context, in string) (out string, err error) {
			ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
				StartToCloseTimeout: time.Minute, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1}, // its failure would be the call's
			})
			return out, workflow.ExecuteActivity(ctx, "Plain", in).Get(ctx, &out)
		},
	}
	maps.DeleteFunc(all, func(name string, _ func(workflow.Context, string) (string, error)) bool {
		return len(names) > 0 && !slices.Contains(names, name)
	})
	return all
}

// Calls under way, and later ones, end with workflow.ErrSessionFailed, so that the
// workflow can go on in another session.
func TestSessionFailsWithItsWorker(t *testing.T) {
	t.Parallel()
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 3}, HeartbeatTimeout: time.Second})
	for cause, end := range map[string]struct {
		strike func(h *sessionHost)
		why    string
	}{
		"stops": {func(h *sessionHost) { h.w.Stop() }, "session has failed: its worker was stopped"},
		"dies":  {func(h *sessionHost) { h.cut() }, "session has failed: its worker gave no sign of life for 2s"},
	} {
		for how, call := range inASession(do) {
			t.Run(cause+"/"+how, func(t *testing.T) {
				t.Parallel()
				queue, c := Queue(t), Client(t)
				var running, later, session error
				flow := func(ctx workflow.Context) (out string, err error) {
					for n := 0; ; n++ {
						err = activity.InSession(ctx, activity.SessionOptions{TaskQueue: queue + "-sessions", HeartbeatTimeout: 2 * time.Second}, func(ctx workflow.Context) error {
							out, err = call(ctx, "call")
							if n == 0 {
								running = err
								_, later = call(ctx, "later")
							}
							return err
						})
						if !errors.Is(err, workflow.ErrSessionFailed) {
							return out, err
						}
						session = err
					}
				}
				Start(t, c, queue, func(w *worker.Worker) {
					w.RegisterWorkflowWithOptions(flow, workflow.RegisterOptions{Name: "Flow"})
				})
				first := hostSessions(t, queue+"-sessions", "first", d, 500*time.Millisecond)
				t.Cleanup(func() { close(first.release) })
				run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Flow")
				require.NoError(t, err)
				Next(t, first.began)
				end.strike(first)
				second := hostSessions(t, queue+"-sessions", "second", d, time.Second)
				close(second.release)
				out, err := resultOf[string](t, run)
				require.NoError(t, err)
				assert.Equal(t, "call on second", out)
				require.ErrorIs(t, session, workflow.ErrSessionFailed)
				require.ErrorContains(t, session, end.why)
				require.ErrorIs(t, later, workflow.ErrSessionFailed)
				switch how {
				case "Execute", "Execute, which waits for cancellation":
					require.ErrorIs(t, running, workflow.ErrSessionFailed)
					require.EqualError(t, running, "Scripted.Do: ended with its session: "+end.why)
					require.EqualError(t, later, "Scripted.Do: not called: "+end.why)
				case "Map":
					var failed *activity.MapError
					require.ErrorAs(t, running, &failed)
					require.EqualError(t, failed.Errors[0], "Scripted.Do: ended with its session: "+end.why)
					require.EqualError(t, failed.Errors[2], "Scripted.Do: not called: "+end.why)
				}
				replaysAnywhere(t, c, run, flow)
			})
		}
	}
}

// Nobody has canceled a workflow that returns the end of such a call.
// A worker that could not heartbeat knows before the workflow that the session is
// over. A call that comes to it in between has no limits any more.
func TestCallOfASessionThatHasFailedOnItsWorkerAlone(t *testing.T) {
	t.Parallel()
	queue := Queue(t)
	over := make(chan struct{})
	refused := status.Error(codes.NotFound, "of nobody any more")
	c, _ := dialThrough(t, map[string][]fault{
		heartbeats: {func(func() error) error { return refused }},
		failures: {func(func() error) error { // the session's own answer
			close(over)
			return refused
		}},
	})
	d, do := ScriptedWith(activity.Options{
		Retry: retrypolicy.Policy{NumRetries: 3}, CallTimeout: Timeout, HeartbeatTimeout: Timeout / 2, Limits: limits.PerSession(limits.Resource("c", 1)),
		Requires: limits.Units{"c": 1},
	})
	var call error
	Start(t, c, queue, func(w *worker.Worker) {
		w.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
			return activity.InSession(ctx, activity.SessionOptions{TaskQueue: queue + "-sessions", HeartbeatTimeout: 3 * time.Second}, func(ctx workflow.Context) error {
				workflow.GetSignalChannel(ctx, "go on").Receive(ctx, nil)
				_, call = do.Execute(ctx, "call").Get(ctx)
				return call
			})
		}, workflow.RegisterOptions{Name: "Flow"})
	})
	w := worker.New(c, queue+"-sessions", worker.Options{EnableSessionWorker: true})
	worker.Register(w, d, &Scripted{Body: func(context.Context, int, string) (string, error) { return "", nil }})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Flow")
	require.NoError(t, err)
	Next(t, over)
	require.NoError(t, c.SignalWorkflow(t.Context(), run.GetID(), "", "go on", nil))
	_, err = resultOf[string](t, run)
	require.ErrorContains(t, err, "session has failed: its worker gave no sign of life for 3s")
	require.ErrorIs(t, call, workflow.ErrSessionFailed)
}

func TestWorkflowWhoseSessionFailsIsNotCanceled(t *testing.T) {
	t.Parallel()
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 3}, HeartbeatTimeout: time.Second})
	for how, call := range inASession(do, "Execute", "workflow.ExecuteActivity") {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			queue, c := Queue(t), Client(t)
			flow := func(ctx workflow.Context) (out string, err error) {
				return out, activity.InSession(ctx, activity.SessionOptions{TaskQueue: queue + "-sessions"}, func(ctx workflow.Context) error {
					out, err = call(ctx, "call")
					return err
				})
			}
			Start(t, c, queue, func(w *worker.Worker) {
				w.RegisterWorkflowWithOptions(flow, workflow.RegisterOptions{Name: "Flow"})
			})
			host := hostSessions(t, queue+"-sessions", "it", d, 500*time.Millisecond)
			run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Flow")
			require.NoError(t, err)
			Next(t, host.began)
			host.w.Stop()
			_, err = resultOf[string](t, run)
			require.ErrorContains(t, err, "session has failed: its worker was stopped")
			assert.False(t, temporal.IsCanceledError(err), "%v", err)
			description, err := c.DescribeWorkflow(t.Context(), run.GetID(), run.GetRunID())
			require.NoError(t, err)
			assert.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, description.Status)
		})
	}
}

func TestCanceledWorkflowStaysCanceledInASession(t *testing.T) {
	t.Parallel()
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 3}, HeartbeatTimeout: time.Second})
	for how, call := range inASession(do, "Execute", "workflow.ExecuteActivity") {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			queue, c := Queue(t), Client(t)
			var running, later error
			flow := func(ctx workflow.Context) error {
				return activity.InSession(ctx, activity.SessionOptions{TaskQueue: queue + "-sessions"}, func(ctx workflow.Context) error {
					_, running = call(ctx, "call")
					_, later = call(ctx, "later")
					return running
				})
			}
			Start(t, c, queue, func(w *worker.Worker) {
				w.RegisterWorkflowWithOptions(flow, workflow.RegisterOptions{Name: "Flow"})
			})
			host := hostSessions(t, queue+"-sessions", "it", d, 500*time.Millisecond)
			run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Flow")
			require.NoError(t, err)
			Next(t, host.began)
			require.NoError(t, c.CancelWorkflow(t.Context(), run.GetID(), run.GetRunID()))
			_, err = resultOf[any](t, run)
			assert.True(t, temporal.IsCanceledError(err), "%v", err)
			for _, err := range []error{running, later} {
				assert.True(t, temporal.IsCanceledError(err), "%v", err)
				require.NotErrorIs(t, err, workflow.ErrSessionFailed)
			}
			replaysAnywhere(t, c, run, flow)
		})
	}
}

// A session's Timeout ends it while its worker is well.
func TestSessionTimeoutIsNamed(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 3}, HeartbeatTimeout: time.Second})
	flow := func(ctx workflow.Context) error {
		return activity.InSession(ctx, activity.SessionOptions{TaskQueue: queue + "-sessions", Timeout: time.Second}, func(ctx workflow.Context) error {
			_, err := do.Execute(ctx, "call").Get(ctx)
			return err
		})
	}
	Start(t, c, queue, func(w *worker.Worker) {
		w.RegisterWorkflowWithOptions(flow, workflow.RegisterOptions{Name: "Flow"})
	})
	hostSessions(t, queue+"-sessions", "it", d, 500*time.Millisecond)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Flow")
	require.NoError(t, err)
	_, err = resultOf[any](t, run)
	require.ErrorContains(t, err, "Scripted.Do: ended with its session: session has failed: its Timeout of 1s is over")
}

// A worker that stops lets bodies in sessions finish, as it does others.
func TestBodiesInSessionsGetTheirTimeAtAStop(t *testing.T) {
	t.Parallel()
	d, do := ScriptedWith(activity.Options{Retry: retrypolicy.Policy{NumRetries: 3}, HeartbeatTimeout: time.Second})
	for how, call := range inASession(do, "Execute", "workflow.ExecuteActivity") {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			queue, c := Queue(t), Client(t)
			flow := func(ctx workflow.Context) (out string, err error) {
				return out, activity.InSession(ctx, activity.SessionOptions{TaskQueue: queue + "-sessions"}, func(ctx workflow.Context) error {
					out, err = call(ctx, "in")
					return err
				})
			}
			Start(t, c, queue, func(w *worker.Worker) {
				w.RegisterWorkflowWithOptions(flow, workflow.RegisterOptions{Name: "Flow"})
			})
			began := make(chan struct{}, 1)
			finish := func(ctx context.Context, in string) (string, error) {
				began <- struct{}{}
				<-sdkactivity.GetWorkerStopChannel(ctx)
				sdkactivity.RecordHeartbeat(ctx, "nearly done")
				return in + " finished", context.Cause(ctx)
			}
			w := worker.New(c, queue+"-sessions", worker.Options{EnableSessionWorker: true, WorkerStopTimeout: Timeout})
			worker.Register(w, d, &Scripted{Body: func(ctx context.Context, _ int, in string) (string, error) { return finish(ctx, in) }})
			w.RegisterActivityWithOptions(finish, sdkactivity.RegisterOptions{Name: "Plain"})
			require.NoError(t, w.Start())
			run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Flow")
			require.NoError(t, err)
			Next(t, began)
			w.Stop()
			out, err := resultOf[string](t, run)
			require.NoError(t, err)
			assert.Equal(t, "in finished", out)
		})
	}
}

func TestSessionThatNoWorkerTakesSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	queue, c := Queue(t), Client(t)
	o := activity.SessionOptions{CreationTimeout: time.Second}
	var own, given error
	flow := func(ctx workflow.Context) error {
		do := func(workflow.Context) error { return errors.New("there is no session") }
		own = activity.InSession(ctx, o, do)
		o.TaskQueue = "nobody's"
		given = activity.InSession(ctx, o, do)
		return nil
	}
	Start(t, c, queue, func(w *worker.Worker) { // without EnableSessionWorker
		w.RegisterWorkflowWithOptions(flow, workflow.RegisterOptions{Name: "Flow"})
	})
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, "Flow")
	require.NoError(t, err)
	_, err = resultOf[any](t, run)
	require.NoError(t, err)
	const want = "took it within 1s: its workers need worker.Options.EnableSessionWorker, and one of them room for a session: "
	require.ErrorContains(t, own, fmt.Sprintf("session: no worker of task queue %q ", queue)+want)
	require.ErrorContains(t, given, `session: no worker of task queue "nobody's" `+want)
	var timeout *temporal.TimeoutError
	require.ErrorAs(t, own, &timeout)
}

func TestBadSessionOptionsAreNamed(t *testing.T) {
	env := testsuite.NewWorkflowEnvironment(t)
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		err := activity.InSession(ctx, activity.SessionOptions{Timeout: -1, CreationTimeout: -2, HeartbeatTimeout: -3}, nil)
		assert.EqualError(t, err, "session: Timeout -1ns: must be positive, or 0 for the default\n"+
			"session: CreationTimeout -2ns: must be positive, or 0 for the default\n"+
			"session: HeartbeatTimeout -3ns: must be positive, or 0 for the default")
		return nil
	})
	require.NoError(t, env.GetWorkflowError())
}
