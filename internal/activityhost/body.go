package activityhost

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/interceptor"

	"github.com/concurry-go/concurry/internal/failure"
)

// run runs one attempt of the body.
func (e *execution) run(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	end := e.attemptEnd()
	c := &e.first
	if c.parent != nil {
		c = &attemptContext{} // the body may have kept the first one
	}
	c.parent, c.deadline, c.previous, c.execution = ctx, end.at, e.Previous(), e
	c.number = e.heart.started()
	defer c.cancel(context.Canceled)
	var inner context.Context = c
	if e.needs.Limiter != nil {
		inner, e.endLimits = e.needs.Engine().Within(c, e.lease)
	}
	defer e.pulse.unwatch()
	if e.spec.AttemptTimeout <= 0 && e.host.Simulated == Real && !e.info.IsLocalActivity {
		e.pulse.watch(c, nil)
		out, err := e.guarded(inner, in) // one that ends its goroutine is answered for by exited
		return out, end.name(err, ctx, c)
	}
	results := make(chan result, 2)
	abandon := func() { results <- result{err: failure.ErrAbandoned} }
	if e.spec.AttemptTimeout <= 0 {
		abandon = nil
	}
	e.pulse.watch(c, abandon)
	go func() {
		r := result{err: failure.ErrGoexit} // unless it returns
		defer func() { results <- r }()
		r.out, r.err = e.guarded(inner, in)
	}()
	r := <-results
	return r.out, end.name(r.err, ctx, c)
}

type result struct {
	out any
	err error
}

// ending is when, and by which option, an attempt's time ends.
type ending struct {
	at     time.Time // zero is never
	option string
	value  time.Duration
	call   bool // it is the whole call's
}

// attemptEnd is the earliest of the attempt's own timeout and what is left of the
// server attempt, or of the call.
func (e *execution) attemptEnd() ending {
	end := ending{at: e.place}
	switch {
	case e.place.IsZero():
	case e.callEndsFirst():
		end.option, end.value, end.call = "CallTimeout", e.info.ScheduleToCloseTimeout, true
		if e.spec.Foreign {
			end.option = "ScheduleToCloseTimeout"
		}
	default:
		end.option, end.value = "StartToCloseTimeout", e.info.StartToCloseTimeout
	}
	if e.spec.AttemptTimeout > 0 {
		if own := time.Now().Add(e.spec.AttemptTimeout); end.at.IsZero() || own.Before(end.at) {
			end = ending{at: own, option: "AttemptTimeout", value: e.spec.AttemptTimeout}
		}
	}
	return end
}

// callEndsFirst reports whether it is the call's end that ends the server attempt.
func (e *execution) callEndsFirst() bool {
	total := e.info.ScheduleToCloseTimeout
	return total > 0 && !e.info.Deadline.Before(e.info.ScheduledTime.Add(total).Add(-time.Millisecond))
}

// name is err with the timeout that ended c, if it is about that.
func (end *ending) name(err error, parent context.Context, c *attemptContext) error {
	if err == nil || err != failure.ErrAbandoned && (parent.Err() != nil || !c.expired()) { //nolint:errorlint // never wrapped
		return err
	}
	return failure.WithTimeout(err, end.option, end.value, end.call)
}

// guarded runs the method; a panic is an error, and logged as by the SDK.
func (e *execution) guarded(ctx context.Context, in *interceptor.ExecuteActivityInput) (out any, err error) {
	defer func() {
		if r := recover(); r != nil {
			p := &failure.PanicError{Value: r, Stack: debug.Stack()}
			e.out.GetLogger(ctx).Error("Activity panic.", "PanicError", fmt.Sprint(r), "PanicStack", string(p.Stack))
			err = p
		}
	}()
	out, err = e.Next.ExecuteActivity(ctx, in)
	if p, ok := out.(*commonpb.Payloads); ok && err == nil && e.host.Simulated != Real && e.spec.Decode != nil {
		return e.spec.Decode(p, e.host.converters().Data)
	}
	return out, err
}
