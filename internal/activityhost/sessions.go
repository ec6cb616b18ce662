package activityhost

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"

	"github.com/concurry-go/concurry/internal/failure"
)

// sessionBodies are the bodies that run in sessions on a worker. The zero value
// is none.
type sessionBodies struct {
	mu       sync.Mutex
	running  int
	last     time.Time     // when the latest has ended
	changed  chan struct{} // closed when one begins or ends; nil while nobody wants to know
	stopping chan struct{} // closed when the worker stops; nil while nobody wants to know
	stopped  bool
}

// add counts a body that begins, or with -1 one that ends.
func (b *sessionBodies) add(n int, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running += n
	if n < 0 {
		b.last = now
	}
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// now is how many run, and when the latest has ended. changed closes with the next
// one that begins or ends.
func (b *sessionBodies) now() (running int, last time.Time, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.running, b.last, b.changed
}

// stop tells bodies that the worker stops, and those that begin then.
func (b *sessionBodies) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stopped && b.stopping != nil {
		close(b.stopping)
	}
	b.stopped = true
}

// stops is closed when the worker stops.
func (b *sessionBodies) stops() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopping == nil {
		b.stopping = make(chan struct{})
		if b.stopped {
			close(b.stopping)
		}
	}
	return b.stopping
}

// FinishSessions gives bodies in sessions the worker's StopTimeout, before the
// worker is stopped. Temporal's SDK (1.51) does not: it ends the contexts of all
// activities, and with them the sessions, as soon as those outside sessions are
// done, at once where there are none, and only then waits for what runs in
// sessions.
//
// It returns once none runs, and the answer of the latest has had time to reach
// the server.
func (h *Host) FinishSessions() {
	h.bodies.stop()
	end := h.Clock.Now().Add(h.StopTimeout)
	for {
		until := end
		running, last, changed := h.bodies.now()
		if quiet := last.Add(margin(h.StopTimeout)); running == 0 && quiet.Before(end) {
			until = quiet
		}
		left := until.Sub(h.Clock.Now())
		if left <= 0 {
			return
		}
		h.Clock.Sleep(left, changed)
	}
}

// inSession puts what activities of sessions need around their path.
func (h *Host) inSession(info *activity.Info, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	if !h.Sessions || h.Simulated != Real || info.IsLocalActivity {
		return next
	}
	own := *info
	b := &sessionBody{host: h, info: &own}
	b.Next = next
	return b
}

// sessionBody is the path of an activity that may run in a session.
type sessionBody struct {
	interceptor.ActivityInboundInterceptorBase
	host *Host
	info *activity.Info
	in   bool // it does
}

// Init implements interceptor.ActivityInboundInterceptor.
func (b *sessionBody) Init(out interceptor.ActivityOutboundInterceptor) error {
	return b.Next.Init(&sessionOutbound{ActivityOutboundInterceptorBase: interceptor.ActivityOutboundInterceptorBase{Next: out}, body: b})
}

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (b *sessionBody) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if err := b.host.unseal(ctx, b.info); err != nil {
		return nil, failure.Unstartable(err)
	}
	session, err := sessionFromHeader(interceptor.Header(ctx))
	if err != nil || session == "" {
		return b.Next.ExecuteActivity(ctx, in) // which returns err
	}
	b.in = true
	b.host.bodies.add(1, time.Time{})
	defer func() { b.host.bodies.add(-1, b.host.Clock.Now()) }()
	out, err := b.Next.ExecuteActivity(ctx, in)
	if errors.Is(context.Cause(ctx), worker.ErrWorkerShutdown) {
		// The session fails at this moment, and cancels the call. The answer of a
		// body that was cut off could come first and be taken for the method's own;
		// the SDK encodes none any more.
		return nil, activity.ErrResultPending
	}
	return out, err
}

// sessionOutbound tells a body in a session when its worker stops. The SDK's own
// channel closes after the body's context has ended.
type sessionOutbound struct {
	interceptor.ActivityOutboundInterceptorBase
	body *sessionBody
}

// GetWorkerStopChannel implements interceptor.ActivityOutboundInterceptor.
func (o *sessionOutbound) GetWorkerStopChannel(ctx context.Context) <-chan struct{} {
	if o.body.in {
		return o.body.host.bodies.stops()
	}
	return o.Next.GetWorkerStopChannel(ctx)
}
