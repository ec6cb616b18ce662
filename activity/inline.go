package activity

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/concurry-go/concurry/internal/attempt"
	"github.com/concurry-go/concurry/internal/limitengine"
	"github.com/concurry-go/concurry/limits"
)

// Inline is a method that runs in this process, under its whole policy, without
// any server: concurry's sync mode. Waits are slept by the calling goroutine.
// Arguments are passed as Go passes them, not copied. Immutable and safe for
// concurrent use; one serves any number of calls.
type Inline[S, In, Out any] struct {
	impl  S
	body  func(S, context.Context, In) (Out, error)
	spec  *attempt.Spec
	clock *attempt.Clock
	open  func(d *limits.Declaration) (limits.Sets, error) // nil for the sets of this process
	// guarded and pack are once and package function pack, for attempt.Loop:
	// made here, since making them for a call would allocate.
	guarded func(context.Context, In) (Out, error)
	pack    func(In) []any
	// plain tells that a success needs nothing before it and nothing after;
	// where it is false body is skip, and guarded has the real one.
	plain bool
}

// Clock is time and chance of calls in this process, for tests. Zero fields
// mean the real ones. Declared limits, and not a set of the program's own, are
// the clock's: calls on one Clock share them, as they do on a worker. Its fields
// are set before it is used; then it is safe for concurrent use.
type Clock struct {
	// Now is the time.
	Now func() time.Time
	// Sleep waits for d, or until one of the channels closes; it returns
	// false when that came first.
	Sleep func(d time.Duration, wake ...<-chan struct{}) bool
	// Random is uniform in [0, n).
	Random func(n int64) int64

	mu   sync.Mutex
	sets map[*limits.Declaration]limits.Sets
}

// open finds the sets of declared limits, and makes them where it is the first.
func (c *Clock) open(d *limits.Declaration) (limits.Sets, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if keyed, ok := c.sets[d]; ok {
		return keyed, nil
	}
	keyed, err := d.EngineSource(limitengine.Access{}).OpenSets(limitengine.Clock{Now: c.Now, Sleep: c.Sleep})
	if err == nil {
		if c.sets == nil {
			c.sets = map[*limits.Declaration]limits.Sets{}
		}
		c.sets[d] = keyed
	}
	return keyed, err
}

// Inline binds the method to an implementation in this process.
func (h *MethodHandle[S, In, Out]) Inline(impl S) *Inline[S, In, Out] {
	return newInline(h.m, impl, h.body)
}

// Inline runs the function in this process.
func (h *FuncHandle[In, Out]) Inline() *Inline[func(context.Context, In) (Out, error), In, Out] {
	return newInline(h.m, h.body, func(body func(context.Context, In) (Out, error), ctx context.Context, in In) (Out, error) {
		return body(ctx, in)
	})
}

func newInline[S, In, Out any](m *method, impl S, body func(S, context.Context, In) (Out, error)) *Inline[S, In, Out] {
	s := &m.spec
	i := &Inline[S, In, Out]{
		impl: impl, body: body, spec: s, clock: realClock(), pack: pack[In],
		plain: s.Plain(),
	}
	i.guarded = i.once
	if i.plain {
		return i
	}
	asking := *i
	asking.body = skip[S, In, Out]
	return &asking
}

var errSkipped = errors.New("no attempt yet")

// skip stands where a first attempt has to be the loop's.
func skip[S, In, Out any](S, context.Context, In) (out Out, err error) { return out, errSkipped }

var realClock = sync.OnceValue(func() *attempt.Clock { //nolint:gochecknoglobals // constant
	c := attempt.Clock{}.WithDefaults()
	return &c
})

// WithClock is i with another clock, for tests.
func (i *Inline[S, In, Out]) WithClock(c *Clock) *Inline[S, In, Out] {
	clock := attempt.Clock{Now: c.Now, Sleep: c.Sleep, Random: c.Random}.WithDefaults()
	changed := *i
	changed.clock, changed.open = &clock, c.open
	return &changed
}

// Call runs the method and waits for its end. With a ctx that has ended nothing is
// begun. Errors are the method's own, in a *retrypolicy.StopError that says why
// there was no further attempt, a *validation.RetryValidationError, or the
// context's.
func (i *Inline[S, In, Out]) Call(ctx context.Context, in In) (Out, error) {
	if ctx.Done() != nil {
		return i.callWithin(ctx, in)
	}
	// No branch for what is not plain: it would cost a fifth of the time.
	out, err := i.once(ctx, in)
	if err == nil {
		return out, nil
	}
	return i.loop(ctx, in, err)
}

// callWithin is Call with a context that may have ended, or be of another call's
// attempt: those, too, have a Done channel.
func (i *Inline[S, In, Out]) callWithin(ctx context.Context, in In) (Out, error) {
	if err := ctx.Err(); err != nil {
		var zero Out
		return zero, err
	}
	out, err := i.once(attempt.Nested(ctx), in)
	if err == nil {
		return out, nil
	}
	return i.loop(ctx, in, err)
}

// once runs the body; a panic is an error. Its deferred function captures err
// alone, which is what makes a success cost a few nanoseconds.
func (i *Inline[S, In, Out]) once(ctx context.Context, in In) (out Out, err error) {
	defer func() {
		if r := recover(); r != nil {
			attempt.Panicked(r, &err)
		}
	}()
	return i.body(i.impl, ctx, in)
}

// callApart is Call on a goroutine that is not the caller's: a body that ends its
// goroutine, as a test's FailNow does, is an attempt that failed.
func (i *Inline[S, In, Out]) callApart(ctx context.Context, in In) (Out, error) {
	l := i.newLoop(in)
	l.Apart = true
	return l.Run(ctx, nil)
}

// loop runs the call; failed is the error of a first attempt that is over.
func (i *Inline[S, In, Out]) loop(ctx context.Context, in In, failed error) (Out, error) {
	if !i.plain {
		failed = nil // it is skip's
	}
	return i.newLoop(in).Run(ctx, failed)
}

func (i *Inline[S, In, Out]) newLoop(in In) *attempt.Loop[In, Out] {
	return &attempt.Loop[In, Out]{Spec: i.spec, Clock: i.clock, In: in, Pack: i.pack, Body: i.guarded, Open: i.open}
}
