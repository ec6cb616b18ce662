package activityhost

import (
	"context"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
)

// outbound is what a method reaches Temporal through.
type outbound struct {
	interceptor.ActivityOutboundInterceptorBase
	e *execution
}

// RecordHeartbeat implements interceptor.ActivityOutboundInterceptor.
func (o *outbound) RecordHeartbeat(ctx context.Context, details ...any) {
	if o.e.spec == nil || o.e.info.IsLocalActivity {
		o.Next.RecordHeartbeat(ctx, details...)
		return
	}
	o.e.userHeartbeat(ctx, details)
}

// HasHeartbeatDetails implements interceptor.ActivityOutboundInterceptor.
func (o *outbound) HasHeartbeatDetails(ctx context.Context) bool {
	if o.e.spec == nil {
		return o.Next.HasHeartbeatDetails(ctx)
	}
	h := &o.e.heart
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.user) > 0
}

// GetHeartbeatDetails implements interceptor.ActivityOutboundInterceptor.
func (o *outbound) GetHeartbeatDetails(ctx context.Context, d ...any) error {
	if o.e.spec == nil {
		return o.Next.GetHeartbeatDetails(ctx, d...)
	}
	h := &o.e.heart
	h.mu.Lock()
	user, fromTask := h.user, h.fromTask
	h.mu.Unlock()
	if len(user) == 0 {
		return temporal.ErrNoData
	}
	d = d[:min(len(d), len(user))]
	if fromTask >= 0 {
		return o.Next.GetHeartbeatDetails(ctx, d...)
	}
	return o.e.plain(ctx).FromPayloads(&commonpb.Payloads{Payloads: user}, d...)
}

// userHeartbeat takes the method's details. They are encoded here and now, as by
// the SDK: the method may change them. What comes too soon after the last request
// is sent when its time comes.
func (e *execution) userHeartbeat(ctx context.Context, details []any) {
	var payloads []*commonpb.Payload
	if len(details) > 1 || len(details) == 1 && details[0] != nil {
		all, err := e.plain(ctx).ToPayloads(details...)
		if err != nil {
			panic(err) // as the SDK does
		}
		payloads = all.GetPayloads()
	}
	h := &e.heart
	if server := h.to(ctx); server != nil {
		if err := server.check(ctx, payloads); err != nil {
			e.tooLarge(err)
			return
		}
	}
	interval := e.interval()
	h.mu.Lock()
	h.user, h.fromTask, h.pending = payloads, -1, true
	if h.bodyRuns && ctx.Err() == nil { // else it is an observer, or what an earlier attempt left running
		h.userBeats = true
	}
	at := h.sentAt.Add(interval)
	busy := h.sending
	h.mu.Unlock()
	if !busy && !time.Now().Before(at) {
		h.beat(ctx)
		return
	}
	e.pulse.flush(at)
}

// tooLarge ends the running attempt, which has recorded what the server would not
// take; as with the SDK, it has failed whatever it returns.
func (e *execution) tooLarge(err error) {
	h := &e.heart
	h.mu.Lock()
	running := h.bodyRuns
	if running {
		h.failed = err
	}
	h.mu.Unlock()
	if running {
		e.pulse.end(context.Canceled)
	}
}

// sizeError is the error of an attempt that recorded details beyond the server's
// limit.
type sizeError struct{ size, limit int }

func (e *sizeError) Error() string {
	return fmt.Sprintf("heartbeat details of %d bytes: the server takes %d", e.size, e.limit)
}

func sizeOf(payloads []*commonpb.Payload) (n int) {
	for _, p := range payloads {
		n += p.Size()
	}
	return n
}

// dropUser takes details away that the server would not take.
func (h *heartbeat) dropUser(err error) {
	h.mu.Lock()
	h.user, h.fromTask = nil, -1
	h.mu.Unlock()
	h.owner.tooLarge(err)
}
