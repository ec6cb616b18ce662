package activity

import (
	"cmp"
	"errors"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/internal/activityhost"
	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/retry"
)

// Handle is what callers need of a method or function: its name, its policy
// and its types. Immutable and safe for concurrent use.
type Handle[In, Out any] struct {
	m    *method
	call CallOptions
}

// CallOptions refine single calls; see [Handle.With]. Zero fields change nothing.
//
// NumRetries and AttemptTimeout need concurry's plugin where a call through Temporal
// is made, on the client or on the workflow's worker; without it the call is an error.
// Replay does not need it: a plain workflow replayer reads histories of such calls.
type CallOptions struct {
	// ID identifies the activity: Submit makes one up otherwise, and refuses
	// a second call with the ID of one that runs.
	ID string
	// TaskQueue replaces Options.TaskQueue.
	TaskQueue string
	// Summary is a line for Temporal's web UI.
	Summary string
	// NumRetries, if not nil, replaces the policy's. Cases keep theirs.
	NumRetries *int
	// AttemptTimeout and CallTimeout replace the method's.
	AttemptTimeout, CallTimeout time.Duration
}

// With returns the handle for calls with other options: those of o that are
// set, and for the rest what h has already. Bad ones make the call fail with an
// error that names them, before anything runs.
func (h Handle[In, Out]) With(o CallOptions) Handle[In, Out] {
	h.call.ID = cmp.Or(o.ID, h.call.ID)
	h.call.TaskQueue = cmp.Or(o.TaskQueue, h.call.TaskQueue)
	h.call.Summary = cmp.Or(o.Summary, h.call.Summary)
	h.call.NumRetries = cmp.Or(o.NumRetries, h.call.NumRetries)
	h.call.AttemptTimeout = cmp.Or(o.AttemptTimeout, h.call.AttemptTimeout)
	h.call.CallTimeout = cmp.Or(o.CallTimeout, h.call.CallTimeout)
	return h
}

// With returns the method for calls with other options; see [Handle.With].
func (h *MethodHandle[S, In, Out]) With(o CallOptions) *MethodHandle[S, In, Out] {
	return &MethodHandle[S, In, Out]{Handle: h.Handle.With(o), body: h.body}
}

// With returns the function for calls with other options; see [Handle.With].
func (h *FuncHandle[In, Out]) With(o CallOptions) *FuncHandle[In, Out] {
	return &FuncHandle[In, Out]{Handle: h.Handle.With(o), body: h.body}
}

// ActivityType returns the name under which Temporal knows the method.
func (h Handle[In, Out]) ActivityType() string { return h.m.activityType }

// plan is a method with a call's options applied.
type plan struct {
	*method
	header *commonpb.Payload
	// needsHeader is true if the call would be another one without it.
	needsHeader bool
	taskQueue   string
}

// refined returns the method with the call's options applied.
func (h Handle[In, Out]) refined() (*method, error) {
	c := h.call
	if c.NumRetries == nil && c.AttemptTimeout == 0 && c.CallTimeout == 0 {
		return h.m, nil
	}
	m := *h.m
	if c.NumRetries != nil {
		m.options.Retry.NumRetries = *c.NumRetries
	}
	if c.AttemptTimeout != 0 {
		m.options.AttemptTimeout = c.AttemptTimeout
	}
	if c.CallTimeout != 0 {
		m.options.CallTimeout = c.CallTimeout
	}
	if err := m.options.check(); err != nil {
		return nil, named(m.activityType, err)
	}
	m.spec.Retry = m.options.Retry
	m.spec.AttemptTimeout, m.spec.CallTimeout = m.options.AttemptTimeout, m.options.CallTimeout
	return &m, nil
}

func (h Handle[In, Out]) plan(inSession bool) (*plan, error) {
	m, err := h.refined()
	if err != nil {
		return nil, err
	}
	if err := m.ready(); err != nil {
		return nil, err
	}
	p := &plan{method: m, taskQueue: m.options.TaskQueue}
	p.needsHeader = (m.engine() || h.m.engine()) && (h.call.NumRetries != nil || h.call.AttemptTimeout != 0 || inSession)
	if h.call.TaskQueue != "" {
		p.taskQueue = h.call.TaskQueue
	}
	if err := m.checkScope(inSession); err != nil {
		return nil, named(m.activityType, err)
	}
	p.header, err = m.spec.Header()
	if err != nil {
		return nil, named(m.activityType, err)
	}
	return p, nil
}

// Execute starts the method as an activity of a workflow. It never blocks;
// the future has the result, or the error of options that are wrong.
//
// Set in ctx by workflow.WithActivityOptions, these keep their meaning:
// TaskQueue where neither the definition nor the call has one, ActivityID,
// WaitForCancellation, Priority, VersioningIntent, DisableEagerExecution.
// Timeouts and retries are the method's.
func (h Handle[In, Out]) Execute(ctx workflow.Context, in In) Future[Out] {
	session := sessionOf(ctx)
	p, err := h.plan(session.open())
	if failed := session.notCalled(h.m.activityType); failed != nil {
		err = failed
	}
	if err != nil {
		return failing[Out](ctx, err)
	}
	options := workflow.GetActivityOptions(ctx)
	if p.taskQueue != "" {
		options.TaskQueue = p.taskQueue
	}
	if h.call.ID != "" {
		options.ActivityID = h.call.ID
	}
	if h.call.Summary != "" {
		options.Summary = h.call.Summary
	}
	options.StartToCloseTimeout = p.startToClose()
	options.ScheduleToCloseTimeout = p.options.CallTimeout
	options.HeartbeatTimeout = p.heartbeat()
	options.RetryPolicy = p.retryPolicy()
	future := launch[Out](workflow.WithActivityOptions(ctx, options), p, func(ctx workflow.Context) workflow.Future {
		return workflow.ExecuteActivity(ctx, p.activityType, pack(in)...)
	})
	future.method, future.session = p.activityType, session
	if !session.open() { // whose queue has a name that says nothing
		future.queue = cmp.Or(options.TaskQueue, workflow.GetInfo(ctx).TaskQueueName)
	}
	return future
}

// launch starts a call with the plan's header, unless it means nothing without
// and nobody sends it.
func launch[Out any](ctx workflow.Context, p *plan, start func(workflow.Context) workflow.Future) Future[Out] {
	if p.needsHeader && activityhost.Refuses(ctx) {
		return failing[Out](ctx, named(p.activityType, errNoPlugin))
	}
	return Future[Out]{future: start(activityhost.WithHeader(ctx, activityhost.NewCallerHeader(p.header)))}
}

// errNoPlugin is the error of calls whose numbers would go nowhere.
var errNoPlugin = errors.New("NumRetries and AttemptTimeout of CallOptions, and sessions, need concurry's plugin where the call is made: " +
	"worker.New has it; other workers and clients take worker.Plugin() among their Plugins")

// retryPolicy is Temporal's part: none but a far backstop where the engine
// counts. Results beyond the server's limit, which no other attempt would mend,
// end the call at once.
func (p *plan) retryPolicy() *temporal.RetryPolicy {
	if !p.engine() {
		return retry.Temporal(&p.options.Retry)
	}
	policy := retry.Backstop(&p.options.Retry)
	if p.spec.Limits.Source != nil {
		policy.MaximumAttempts = unlimited // waits for limits are server attempts too, however many
	}
	policy.NonRetryableErrorTypes = []string{failure.FailureOfSize}
	return policy
}

// unlimited is a number of server attempts that no call ever comes to. Zero would
// say so too, but is ten in Temporal's test environment.
const unlimited = 1 << 30

func (p *plan) heartbeat() time.Duration {
	if !p.engine() {
		return 0 // nobody would beat
	}
	return p.options.heartbeat()
}
