// Package stops counts what the stop of a loaded worker loses. It has a package of its
// own so that nothing else runs beside it: a queue that brings no task for most of a
// second counts as empty, and a machine that is busy with other tests can make it so.
package stops

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	enumspb "go.temporal.io/api/enums/v1"
	sdkactivity "go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	. "github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/worker"
)

var stops = flag.Int("stops", 0, "how often a loaded worker is stopped, in each case of TestStopLosesNoTask; then what Temporal's own Stop loses is printed beside it. 0: once, without that")

// stopped is one way of working that a stop ends.
type stopped struct {
	options sdkworker.Options
	// inWorkflows: workflows make the calls, one after the other.
	inWorkflows bool
	// inSessions: workflows begin a session, and end it.
	inSessions bool
	// mayDelay: workflow tasks are not spoken of, which only delay workflows.
	mayDelay bool
}

// tally is what has become of the calls.
type tally struct {
	calls, bodies, again, failed, workflowTasks atomic.Int64 // a session is both a call and its body
}

func (n *tally) String() string {
	return fmt.Sprintf("%d calls, %d bodies, %d second server attempts, %d failed calls, %d lost workflow tasks",
		n.calls.Load(), n.bodies.Load(), n.again.Load(), n.failed.Load(), n.workflowTasks.Load())
}

func (s stopped) lost(n *tally) bool {
	return n.again.Load()+n.failed.Load() > 0 || n.workflowTasks.Load() > 0 && !s.mayDelay || n.bodies.Load() != n.calls.Load()
}

// round stops a worker in the middle of calls that wait for it, and starts
// another.
func (s stopped) round(t *testing.T, c client.Client, newWorker Maker) *tally {
	n, queue := &tally{}, Queue(t)
	const calls, each = 24, 4
	at, reached := rand.Int64N(calls-8)+1, make(chan struct{})
	count := func() {
		if n.bodies.Add(1) == at {
			close(reached)
		}
	}
	start := func() sdkworker.Worker {
		o := s.options
		o.WorkerStopTimeout = Timeout
		o.MaxConcurrentActivityExecutionSize = 4
		w := newWorker(c, queue, o)
		w.RegisterActivityWithOptions(func(ctx context.Context) error {
			if sdkactivity.GetInfo(ctx).Attempt > 1 {
				n.again.Add(1)
			}
			count()
			return nil
		}, sdkactivity.RegisterOptions{Name: "Do"})
		if s.inWorkflows {
			w.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
				ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute, HeartbeatTimeout: 10 * time.Second})
				for range each {
					if err := workflow.ExecuteActivity(ctx, "Do").Get(ctx, nil); err != nil {
						return err
					}
				}
				return nil
			}, workflow.RegisterOptions{Name: "Work"})
		}
		if s.inSessions {
			w.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
				session, err := workflow.CreateSession(ctx, &workflow.SessionOptions{CreationTimeout: time.Minute, ExecutionTimeout: time.Minute, HeartbeatTimeout: 10 * time.Second})
				if err != nil {
					return err
				}
				if !workflow.IsReplaying(ctx) {
					count()
				}
				workflow.CompleteSession(session)
				return nil
			}, workflow.RegisterOptions{Name: "Work"})
		}
		assert.NoError(t, w.Start())
		return w
	}
	n.calls.Store(calls)
	var ends []func()
	for i := range calls {
		switch {
		case !s.inWorkflows && !s.inSessions:
			ends = append(ends, s.call(t, c, queue, i, n))
		case s.inSessions || i%each == 0:
			ends = append(ends, s.runWorkflow(t, c, queue, n))
		}
	}
	first := start()
	<-reached
	var stopping sync.WaitGroup
	stopping.Go(first.Stop)
	second := start()
	for _, end := range ends {
		end()
	}
	stopping.Wait()
	second.Stop()
	return n
}

// call begins a call, and returns what waits for its end.
func (s stopped) call(t *testing.T, c client.Client, queue string, i int, n *tally) (end func()) {
	h, err := c.ExecuteActivity(t.Context(), client.StartActivityOptions{
		ID: fmt.Sprint(queue, i), TaskQueue: queue, StartToCloseTimeout: time.Minute, HeartbeatTimeout: 10 * time.Second,
	}, "Do")
	assert.NoError(t, err)
	return func() {
		if err != nil || h.Get(t.Context(), nil) != nil {
			n.failed.Add(1)
		}
	}
}

// runWorkflow begins a workflow, and returns what waits for its end.
func (s stopped) runWorkflow(t *testing.T, c client.Client, queue string, n *tally) (end func()) {
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: queue}, "Work")
	assert.NoError(t, err)
	return func() {
		if err != nil || run.Get(t.Context(), nil) != nil {
			n.failed.Add(1)
			return
		}
		history := c.GetWorkflowHistory(t.Context(), run.GetID(), run.GetRunID(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for history.HasNext() {
			event, err := history.Next()
			if !assert.NoError(t, err) {
				return
			}
			if a := event.GetWorkflowTaskTimedOutEventAttributes(); a.GetTimeoutType() == enumspb.TIMEOUT_TYPE_START_TO_CLOSE {
				n.workflowTasks.Add(1)
			}
		}
	}
}

// times makes rounds, some of them at once, and returns what they have lost.
func (s stopped) times(t *testing.T, rounds int, c client.Client, newWorker Maker) (losses []*tally) {
	var mu sync.Mutex
	var all sync.WaitGroup
	places := make(chan struct{}, 3)
	for range rounds {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			n := s.round(t, c, newWorker)
			mu.Lock()
			defer mu.Unlock()
			if s.lost(n) {
				losses = append(losses, n)
			}
		})
	}
	all.Wait()
	return losses
}

func temporals(c client.Client, queue string, o sdkworker.Options) sdkworker.Worker {
	return sdkworker.New(c, queue, o)
}

func withPlugin(c client.Client, queue string, o sdkworker.Options) sdkworker.Worker {
	o.Plugins = []sdkworker.Plugin{worker.Plugin(worker.Policies{"Do": {}})}
	return sdkworker.New(c, queue, o)
}

func TestStopLosesNoTask(t *testing.T) {
	calls := sdkworker.Options{DisableWorkflowWorker: true}
	slow, scaled := calls, calls
	slow.WorkerActivitiesPerSecond = 20
	scaled.ActivityTaskPollerBehavior = sdkworker.NewPollerBehaviorAutoscaling(sdkworker.PollerBehaviorAutoscalingOptions{})
	for name, tc := range map[string]struct {
		stopped
		newWorker Maker
	}{
		"calls":                        {stopped{options: calls}, Ours},
		"calls, interrupted Run":       {stopped{options: calls}, Interrupted},
		"calls, Temporal's own worker": {stopped{options: calls}, withPlugin},
		"calls, slow worker":           {stopped{options: slow}, Ours},
		"calls, autoscaling pollers":   {stopped{options: scaled}, Ours},
		"workflows":                    {stopped{options: sdkworker.Options{DisableEagerActivities: true}, inWorkflows: true}, Ours},
		"workflows, eager activities":  {stopped{inWorkflows: true}, Ours},
		"workflows, Temporal's worker": {stopped{inWorkflows: true, mayDelay: true}, withPlugin},
		"sessions":                     {stopped{options: sdkworker.Options{EnableSessionWorker: true}, inSessions: true, mayDelay: true}, Ours},
	} {
		t.Run(name, func(t *testing.T) {
			c, rounds := Client(t), *stops
			if rounds == 0 {
				rounds = 1
			} else {
				losses := tc.times(t, rounds, c, temporals)
				t.Logf("%s: without concurry %d of %d stops lost something: %v", name, len(losses), rounds, losses)
			}
			losses := tc.times(t, rounds, c, tc.newWorker)
			t.Logf("%s: with concurry %d of %d stops lost something", name, len(losses), rounds)
			assert.Empty(t, losses)
		})
	}
}
