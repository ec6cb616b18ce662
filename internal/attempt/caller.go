package attempt

import (
	"context"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"
)

type headerKey struct{}

// CallerHeader is a header on its way to the interceptors that send it.
type CallerHeader struct {
	payload *commonpb.Payload
	taken   bool
}

// NewCallerHeader is p for one call.
func NewCallerHeader(p *commonpb.Payload) *CallerHeader { return &CallerHeader{payload: p} }

// Taken tells, once the call has started, whether there was an interceptor of
// ours to send the header.
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
	return &workflowInbound{WorkflowInboundInterceptorBase: interceptor.WorkflowInboundInterceptorBase{Next: next}}
}

type workflowInbound struct {
	interceptor.WorkflowInboundInterceptorBase
}

// Init implements interceptor.WorkflowInboundInterceptor.
func (w *workflowInbound) Init(out interceptor.WorkflowOutboundInterceptor) error {
	return w.Next.Init(&workflowOutbound{WorkflowOutboundInterceptorBase: interceptor.WorkflowOutboundInterceptorBase{Next: out}})
}

type workflowOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase
}

// ExecuteActivity implements interceptor.WorkflowOutboundInterceptor.
func (w *workflowOutbound) ExecuteActivity(ctx workflow.Context, activityType string, args ...any) workflow.Future {
	tell(ctx)
	return w.Next.ExecuteActivity(ctx, activityType, args...)
}

// ExecuteLocalActivity implements interceptor.WorkflowOutboundInterceptor.
func (w *workflowOutbound) ExecuteLocalActivity(ctx workflow.Context, activityType string, args ...any) workflow.Future {
	tell(ctx)
	return w.Next.ExecuteLocalActivity(ctx, activityType, args...)
}

func tell(ctx workflow.Context) {
	if h, ok := ctx.Value(headerKey{}).(*CallerHeader); ok && h.payload != nil {
		interceptor.WorkflowHeader(ctx)[HeaderKey] = h.payload
		h.taken = true
	}
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
		interceptor.Header(ctx)[HeaderKey] = h.payload
		h.taken = true
	}
	return c.Next.ExecuteActivity(ctx, in)
}
