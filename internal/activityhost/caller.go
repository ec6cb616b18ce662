package activityhost

import (
	"context"
	"fmt"
	"reflect"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/internal/engine"
)

type headerKey struct{}

// CallerHeader is a header on its way to the interceptors that send it.
type CallerHeader struct {
	payload *commonpb.Payload
	taken   bool
}

// NewCallerHeader is p for one call.
func NewCallerHeader(p *commonpb.Payload) *CallerHeader { return &CallerHeader{payload: p} }

// Taken reports, once a standalone activity has started, whether there was an
// interceptor of ours to send the header. Workflow code asks [Refuses] before.
func (h *CallerHeader) Taken() bool { return h.taken }

// WithHeader makes the next activity started from ctx carry h.
func WithHeader(ctx workflow.Context, h *CallerHeader) workflow.Context {
	return workflow.WithValue(ctx, headerKey{}, h)
}

// WithClientHeader is WithHeader for standalone activities.
func WithClientHeader(ctx context.Context, h *CallerHeader) context.Context {
	return context.WithValue(ctx, headerKey{}, h)
}

// InterceptWorkflow adds the caller's side: headers of the activities that
// workflow code starts.
func (w *workerInterceptor) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &workflowInbound{interceptor.WorkflowInboundInterceptorBase{Next: next}, w.host}
}

type workflowInbound struct {
	interceptor.WorkflowInboundInterceptorBase
	host *Host
}

// Init implements interceptor.WorkflowInboundInterceptor.
func (w *workflowInbound) Init(out interceptor.WorkflowOutboundInterceptor) error {
	return w.Next.Init(&workflowOutbound{interceptor.WorkflowOutboundInterceptorBase{Next: out}, w.host})
}

type workflowOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	host *Host
}

// ExecuteActivity implements interceptor.WorkflowOutboundInterceptor.
func (w *workflowOutbound) ExecuteActivity(ctx workflow.Context, activityType string, args ...any) workflow.Future {
	queue := queueOf(ctx, activityType)
	w.tell(ctx, engine.HeaderKey, headerOf(ctx), activityType, queue, false)
	session, err := sessionHeader(ctx, activityType)
	if err != nil {
		future, settable := workflow.NewFuture(ctx)
		settable.SetError(err)
		return future
	}
	w.tell(ctx, SessionKey, session, activityType, queue, false)
	future := w.Next.ExecuteActivity(ctx, activityType, args...)
	watchSession(ctx, activityType, future)
	return future
}

// ExecuteLocalActivity implements interceptor.WorkflowOutboundInterceptor.
func (w *workflowOutbound) ExecuteLocalActivity(ctx workflow.Context, activityType string, args ...any) workflow.Future {
	w.tell(ctx, engine.HeaderKey, headerOf(ctx), activityType, "", true)
	return w.Next.ExecuteLocalActivity(ctx, activityType, args...)
}

// queueOf is the task queue that an activity started from ctx goes to; empty for the
// workflow's own. In a session it is one that the SDK tells nobody. Reflection reads
// one field here, which workflowcheck takes for chance.
//
//workflowcheck:ignore
func queueOf(ctx workflow.Context, activityType string) string {
	s := workflow.GetSessionInfo(ctx)
	if s == nil || s.SessionState != workflow.SessionStateOpen || activityType == sessionCreation {
		return workflow.GetActivityOptions(ctx).TaskQueue
	}
	if queue := reflect.ValueOf(s).Elem().FieldByName("taskqueue"); queue.Kind() == reflect.String {
		return queue.String()
	}
	return ""
}

// tell adds a header, if there is one.
func (w *workflowOutbound) tell(ctx workflow.Context, key string, p *commonpb.Payload, activityType, queue string, local bool) {
	if p != nil {
		interceptor.WorkflowHeader(ctx)[key] = w.host.sealed(ctx, p, activityType, queue, local)
	}
}

func headerOf(ctx workflow.Context) *commonpb.Payload {
	if h, ok := ctx.Value(headerKey{}).(*CallerHeader); ok {
		return h.payload
	}
	return nil
}

type presenceKey struct{}

// GetInfo implements interceptor.WorkflowOutboundInterceptor. It also answers
// present.
func (w *workflowOutbound) GetInfo(ctx workflow.Context) *workflow.Info {
	if answer, ok := ctx.Value(presenceKey{}).(*bool); ok {
		*answer = true
	}
	return w.Next.GetInfo(ctx)
}

// present reports whether an interceptor of ours sends the headers of what ctx
// starts. It asks through a method that makes no command.
func present(ctx workflow.Context) bool {
	answer := false
	workflow.GetInfo(workflow.WithValue(ctx, presenceKey{}, &answer))
	return answer
}

// Refuses reports whether workflow code must refuse a call that means nothing
// without its header, since no interceptor of ours would send it.
//
// Replay needs no interceptor: what history has was sent, or was refused and left
// a marker. All calls of one workflow task share the marker, whose name is told
// by the length of the history before the task.
func Refuses(ctx workflow.Context) bool {
	if present(ctx) {
		return false
	}
	return Refused(ctx, fmt.Sprintf("concurry-without-plugin-%d", workflow.GetInfo(ctx).GetCurrentHistoryLength()))
}

// Refused notes in history that workflow code refuses something, under a name,
// and reports whether it does: in replay only where it did. So what was started
// before there was a reason to refuse it goes on.
func Refused(ctx workflow.Context, name string) bool {
	return workflow.GetVersion(ctx, name, workflow.DefaultVersion, 1) == 1
}

// ClientInterceptor is the caller's side for standalone activities.
type ClientInterceptor struct {
	interceptor.ClientInterceptorBase
}

// InterceptClient implements interceptor.ClientInterceptor.
func (*ClientInterceptor) InterceptClient(next interceptor.ClientOutboundInterceptor) interceptor.ClientOutboundInterceptor {
	return &clientOutbound{ClientOutboundInterceptorBase: interceptor.ClientOutboundInterceptorBase{Next: next}}
}

type clientOutbound struct {
	interceptor.ClientOutboundInterceptorBase
}

// ExecuteActivity implements interceptor.ClientOutboundInterceptor.
func (c *clientOutbound) ExecuteActivity(ctx context.Context, in *interceptor.ClientExecuteActivityInput) (client.ActivityHandle, error) {
	if h, ok := ctx.Value(headerKey{}).(*CallerHeader); ok && h.payload != nil {
		interceptor.Header(ctx)[engine.HeaderKey] = h.payload
		h.taken = true
	}
	return c.Next.ExecuteActivity(ctx, in)
}
