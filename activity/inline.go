package activity

import (
	"context"
	"sync"

	"github.com/concurry-go/concurry/internal/attempt"
)

// Inline runs a method in this process, under its whole policy, without any
// server: concurry's sync mode. Waits are slept by the calling goroutine.
// Arguments are passed as Go passes them, not copied. Immutable and safe for
// concurrent use; make it once where calls are many.
type Inline[In, Out any] struct {
	*inline[In, Out]
}

type inline[In, Out any] struct {
	spec  *attempt.Spec
	clock *attempt.Clock
	// body runs one attempt; a panic is an error already.
	body func(context.Context, In) (Out, error)
	// plain tells that a success needs nothing before it and nothing after.
	plain bool
	call func(i *inline[In, Out], ctx context.Context, in In) (Out, error)
}

// Clock is time and chance of calls in this process; zero fields mean the
// real ones. Sleep returns false if one of the channels closed first.
type Clock = attempt.Clock

// Inline binds the method to an implementation in this process.
func (h *MethodHandle[S, In, Out]) Inline(impl S) Inline[In, Out] {
	body := h.body
	x := newInline(h.m, func(ctx context.Context, in In) (out Out, err error) {
		defer attempt.Recovered(&err)
		out, err = body(impl, ctx, in)
		return out, err
	})
	x.call = func(i *inline[In, Out], ctx context.Context, in In) (out Out, err error) {
		done := false
		defer func() {
			if !done {
			if r := recover(); r != nil {
				attempt.Panicked(r, &err)
				out, err = i.loop(ctx, in, err)
			}}
		}()
		out, err = body(impl, ctx, in)
		done = true
		if err != nil {
			return i.loop(ctx, in, err)
		}
		return out, nil
	}
	return x
}

// Inline runs the function in this process.
func (h *FuncHandle[In, Out]) Inline() Inline[In, Out] {
	body := h.body
	return newInline(h.m, func(ctx context.Context, in In) (out Out, err error) {
		returned := false
		defer func() {
			if !returned {
				attempt.Panicked(recover(), &err)
			}
		}()
		out, err = body(ctx, in)
		returned = true
		return out, err
	})
}

func newInline[In, Out any](m *method, body func(context.Context, In) (Out, error)) Inline[In, Out] {
	s := &m.spec
	return Inline[In, Out]{&inline[In, Out]{
		spec: s, clock: realClock(), body: body,
		plain: len(s.Validators) == 0 && len(s.Retry.RetryOn) == 0 && s.AttemptTimeout == 0 && s.CallTimeout == 0,
	}}
}

var realClock = sync.OnceValue(func() *attempt.Clock {
	c := attempt.Clock{}.WithDefaults()
	return &c
})

// WithClock is i with another clock, for tests.
func (i Inline[In, Out]) WithClock(c Clock) Inline[In, Out] {
	c = c.WithDefaults()
	changed := *i.inline
	changed.clock = &c
	return Inline[In, Out]{&changed}
}

// Call runs the method and waits for its end. Errors are the method's own, a
// *validation.RetryValidationError, or the context's.
func (i Inline[In, Out]) Call(ctx context.Context, in In) (Out, error) {
	return i.call(i.inline, ctx, in)
}

// loop runs the call; failed is the error of a first attempt that is over.
//go:noinline
func (i *inline[In, Out]) loop(ctx context.Context, in In, failed error) (Out, error) {
	l := &attempt.Loop[In, Out]{Spec: i.spec, Clock: i.clock, In: in, Pack: pack[In], Body: i.body}
	return l.Run(ctx, failed)
}

func (i *inline[In, Out]) panicked(ctx context.Context, in In, out *Out, err *error) {
	if r := recover(); r != nil {
		attempt.Panicked(r, err)
		*out, *err = i.loop(ctx, in, *err)
	}
}
