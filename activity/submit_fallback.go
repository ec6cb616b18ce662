package activity

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"sync"
	"time"
	"weak"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/internal/fallback"
)

// startWorkflow submits the call as the workflow of package fallback.
func (s *submission) startWorkflow(ctx context.Context) (runID string, err error) {
	input, err := fallback.Input(fallback.Request{
		ActivityType: s.activityType,
		CallTimeout:  s.options.CallTimeout,
		StartToClose: s.startToClose(),
		Heartbeat:    s.heartbeat(),
		Retry:        fallback.FromPolicy(s.retryPolicy()),
		Summary:      s.summary,
	}, s.header, s.args)
	if err != nil {
		return "", err
	}
	o := client.StartWorkflowOptions{
		ID: s.id, TaskQueue: s.taskQueue,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            s.summary,
		StaticDetails:                            s.activityType, // Attach and Describe read it
	}
	if s.options.CallTimeout > 0 {
		o.WorkflowRunTimeout = s.options.CallTimeout + fallback.Slack
	}
	run, err := s.client.ExecuteWorkflow(ctx, o, fallback.WorkflowType, input...)
	if err != nil {
		return "", err
	}
	return run.GetRunID(), nil
}

// lacking is what is known of a server without standalone activities.
type lacking struct {
	queues sync.Map // names of task queues that somebody polls for workflow tasks
}

const (
	// askAgain and asks are how a worker that is just starting gets the time
	// to poll for workflow tasks too.
	askAgain = 200 * time.Millisecond
	asks     = 6
)

// canRunWorkflows returns an error if the task queue has workers, and all of
// them run activities only: nobody would ever take the workflow up. A queue
// without any workers is none: they may come.
func (l *lacking) canRunWorkflows(ctx context.Context, c client.Client, queue string) error {
	if _, ok := l.queues.Load(queue); ok {
		return nil
	}
	for n := range asks {
		if n > 0 {
			select {
			case <-time.After(askAgain):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		polled, err := isPolled(ctx, c, queue, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
		if err != nil {
			return nil //nolint:nilerr // this client may not ask: start the workflow and see
		}
		if polled {
			l.queues.Store(queue, struct{}{})
			return nil
		}
		if n > 0 {
			continue
		}
		if polled, err = isPolled(ctx, c, queue, enumspb.TASK_QUEUE_TYPE_ACTIVITY); err != nil || !polled {
			return nil //nolint:nilerr // see above
		}
	}
	return fmt.Errorf("%w, and the workers of task queue %q run activities only: run one there with workflows enabled "+
		"(worker.Options.DisableWorkflowWorker false), whose plugin has the workflow that submitted calls need instead", ErrStandaloneUnsupported, queue)
}

func isPolled(ctx context.Context, c client.Client, queue string, kind enumspb.TaskQueueType) (bool, error) {
	d, err := c.DescribeTaskQueue(ctx, queue, kind)
	return len(d.GetPollers()) > 0, err
}

// withoutStandalone are the clients whose server was found not to run
// standalone activities; others are never in it. It does not keep a client
// alive.
var withoutStandalone clients

type clients struct {
	m sync.Map // weak.Pointer[byte] to *lacking
}

func (s *clients) get(c client.Client) *lacking {
	p := address(c)
	if p == nil {
		return nil
	}
	if l, ok := s.m.Load(weak.Make(p)); ok {
		l, _ := l.(*lacking)
		return l
	}
	return nil
}

func (s *clients) add(c client.Client) *lacking {
	l := &lacking{}
	p := address(c)
	if p == nil {
		return l
	}
	key := weak.Make(p)
	if known, loaded := s.m.LoadOrStore(key, l); loaded {
		known, _ := known.(*lacking)
		return known
	}
	runtime.AddCleanup(p, func(key weak.Pointer[byte]) { s.m.Delete(key) }, key)
	return l
}

// address is where c is; nil for clients that are no pointers, which somebody
// has wrapped: those ask the server with every Submit.
func address(c client.Client) *byte {
	v := reflect.ValueOf(c)
	if v.Kind() != reflect.Pointer || v.Type().Elem().Size() == 0 {
		return nil
	}
	return (*byte)(v.UnsafePointer())
}
