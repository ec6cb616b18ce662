package activity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/concurry-go/concurry/internal/activityhost"
	"github.com/concurry-go/concurry/internal/serverfeatures"
	"github.com/concurry-go/concurry/retrypolicy"
)

var (
	// ErrIDInUse is returned by Submit when a call with the same ID has not
	// ended yet. Attach to that one instead.
	ErrIDInUse = errors.New("a call with this ID is under way")

	// ErrUnknownID is returned when the server knows no call of that ID:
	// there never was one in this namespace, or it ended longer ago than the
	// namespace's retention.
	ErrUnknownID = errors.New("the server knows no call with this ID")

	// ErrStandaloneUnsupported is returned by Submit when the server cannot
	// run activities without a workflow, since it is older than 1.32 or has
	// the dynamic configuration activity.enableStandalone off, and the task
	// queue's workers run activities only, so that a workflow cannot help.
	ErrStandaloneUnsupported = errors.New("this Temporal server does not run standalone activities (needs server 1.32, or activity.enableStandalone)")
)

// Submit starts the method from any program, without a workflow of yours. It
// returns once the server has the call, which then goes on without this
// process; Attach finds it again by its ID. The definition, or With, must name
// the task queue.
//
// The call is a standalone activity. On a server without those it is the
// activity of one small workflow, of type concurry.Call and with the call's
// ID, which every worker with concurry's plugin runs unless its workflows are
// disabled. The first Submit of a client finds out which of the two the server can
// do; Call.Standalone returns it. Results and errors are the same in both.
//
// A call that no worker takes up waits until its CallTimeout (in a workflow up to 10
// seconds longer), and without a CallTimeout for ever. A misspelled task queue is no
// error here. Look at Call.Describe then: State is CallWaiting, ServerAttempts is 0,
// and TaskQueue is where the call waits. A worker that polls the queue and does not
// know the method starts the call again and again instead, and LastFailure says so.
//
// The client should have been made with concurry's plugin: without it the
// numbers of the worker's definition count, not this program's, and numbers in
// CallOptions are an error.
//
// Errors: ErrIDInUse, ErrStandaloneUnsupported, one that names the option that
// is wrong, or the server's.
func (h Handle[In, Out]) Submit(ctx context.Context, c client.Client, in In) (*Call[Out], error) {
	p, err := h.plan(false)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, fmt.Errorf("%s: Submit: the client is nil", p.activityType)
	}
	if p.taskQueue == "" {
		return nil, named(p.activityType, &retrypolicy.FieldError{Field: "TaskQueue", Value: "", Allowed: "Submit needs one: set Options.TaskQueue or CallOptions.TaskQueue"})
	}
	s := &submission{plan: p, client: c, id: h.call.ID, summary: h.call.Summary, args: pack(in)}
	if s.id == "" {
		s.id = p.activityType + "-" + rand.Text()
	}
	runID, standalone, err := s.start(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: Submit: %w", p.activityType, err)
	}
	return &Call[Out]{client: c, id: s.id, runID: runID, activityType: p.activityType, standalone: standalone}, nil
}

// withoutStandalone are the clients whose server does not run standalone activities.
var withoutStandalone serverfeatures.Clients

// submission is one call on its way to the server.
type submission struct {
	*plan
	client      client.Client
	id, summary string
	args        []any
}

func (s *submission) start(ctx context.Context) (runID string, standalone bool, err error) {
	lacking := withoutStandalone.Get(s.client)
	if lacking == nil {
		runID, err = s.startActivity(ctx)
		if !isUnimplemented(err) {
			return runID, true, s.explain(err)
		}
		lacking = withoutStandalone.Add(s.client)
	}
	switch can, err := lacking.CanRunWorkflows(ctx, s.client, s.taskQueue); {
	case err != nil:
		return "", false, err
	case !can: // nobody would ever take the workflow up
		return "", false, fmt.Errorf("%w, and the workers of task queue %q run activities only: run one there with workflows enabled "+
			"(worker.Options.DisableWorkflowWorker false), whose plugin has the workflow that submitted calls need instead", ErrStandaloneUnsupported, s.taskQueue)
	}
	runID, err = s.startWorkflow(ctx)
	return runID, false, s.explain(err)
}

func (s *submission) startActivity(ctx context.Context) (runID string, err error) {
	sealed, err := activityhost.SealedBy(ctx, s.client, s.header, s.activityType, s.taskQueue)
	if err != nil {
		return "", err
	}
	header := activityhost.NewCallerHeader(sealed)
	handle, err := s.client.ExecuteActivity(activityhost.WithClientHeader(ctx, header), client.StartActivityOptions{
		ID:                     s.id,
		TaskQueue:              s.taskQueue,
		ScheduleToCloseTimeout: s.options.CallTimeout,
		StartToCloseTimeout:    s.startToClose(),
		HeartbeatTimeout:       s.heartbeat(),
		RetryPolicy:            s.retryPolicy(),
		Summary:                s.summary,
	}, s.activityType, s.args...)
	if err != nil {
		return "", err
	}
	if s.needsHeader && !header.Taken() {
		err := handle.Terminate(ctx, client.TerminateActivityOptions{Reason: errNoPlugin.Error()})
		return "", errors.Join(errNoPlugin, err)
	}
	return handle.GetRunID(), nil
}

// explain names the ID where it is what is wrong.
func (s *submission) explain(err error) error {
	_, activityRuns := errors.AsType[*serviceerror.ActivityExecutionAlreadyStarted](err)
	_, workflowRuns := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err)
	if activityRuns || workflowRuns {
		return fmt.Errorf("call ID %q: %w: %w", s.id, ErrIDInUse, err)
	}
	return err
}

func isUnimplemented(err error) bool {
	_, ok := errors.AsType[*serviceerror.Unimplemented](err)
	return ok
}

func isNotFound(err error) bool {
	_, ok := errors.AsType[*serviceerror.NotFound](err)
	return ok
}
