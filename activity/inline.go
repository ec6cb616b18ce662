package activity

import (
	"context"
	"sync"

	"github.com/concurry-go/concurry/internal/attempt"
)

// Inline runs a method in this process, under its whole policy, without any
// server: concurry's sync mode. Waits are slept by the calling goroutine.
// Arguments are passed as Go passes them, not copied. Immutable and safe for
// concurrent use.
type Inline[In, Out any] struct {
	spec  *attempt.Spec
	clock *attempt.Clock
	body  func(context.Context, In) (Out, error)
	plain bool
}

// Clock is time and chance of calls in this process; zero fields mean the
// real ones. Sleep returns false if one of the channels closed first.
type Clock = attempt.Clock

// Inline binds the method to an implementation in this process.
func (h *MethodHandle[S, In, Out]) Inline(impl S) Inline[In, Out] {
	body := h.body
	return newInline(h.m, func(ctx context.Context, in In) (Out, error) { return body(impl, ctx, in) })
}

// Inline runs the function in this process.
func (h *FuncHandle[In, Out]) Inline() Inline[In, Out] { return newInline(h.m, h.body) }

func newInline[In, Out any](m *method, body func(context.Context, In) (Out, error)) Inline[In, Out] {
	return Inline[In, Out]{
		spec: &m.spec, clock: realClock(), body: body,
		plain: len(m.spec.Validators) == 0 && len(m.spec.Retry.RetryOn) == 0 && m.spec.AttemptTimeout == 0 && m.spec.CallTimeout == 0,
	}
}

var realClock = sync.OnceValue(func() *attempt.Clock {
	c := attempt.Clock{}.WithDefaults()
	return &c
})

// WithClock is i with another clock, for tests.
func (i Inline[In, Out]) WithClock(c Clock) Inline[In, Out] {
	c = c.WithDefaults()
	i.clock = &c
	return i
}

// Call runs the method and waits for its end. Errors are the method's own, a
// *validation.RetryValidationError, or the context's.
func (i Inline[In, Out]) Call(ctx context.Context, in In) (Out, error) {
	if i.plain { // nothing to ask before or after a success
		out, err := i.once(ctx, in)
		if err == nil {
			return out, nil
		}
		return i.loop(ctx, in, &attempt.First[Out]{Err: err})
	}
	return i.loop(ctx, in, nil)
}

func (i *Inline[In, Out]) once(ctx context.Context, in In) (out Out, err error) {
	defer attempt.Recovered(&err)
	return i.body(ctx, in)
}

func (i *Inline[In, Out]) loop(ctx context.Context, in In, first *attempt.First[Out]) (Out, error) {
	l := attempt.Loop[Out]{Spec: i.spec, Clock: i.clock, Arguments: func() []any { return pack(in) }}
	body := i.body
	l.Body = func(ctx context.Context) (Out, error) { return body(ctx, in) }
	return l.Run(ctx, first)
}
