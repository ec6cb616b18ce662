package activity

import (
	"context"
	"sync"
	"time"

	"github.com/concurry-go/concurry/internal/engine"
	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/limitengine"
	"github.com/concurry-go/concurry/limits"
)

// Inline is a method that runs in this process, under its whole policy, without
// any server: concurry's sync mode. Waits are slept by the calling goroutine.
// Arguments are passed as Go passes them, not copied. It is made by
// [MethodHandle.Inline] and [FuncHandle.Inline], immutable and safe for concurrent
// use; one serves any number of calls.
type Inline[In, Out any] struct {
	// call is Call. It knows the body's receiver, which Inline's type does not.
	call func(ctx context.Context, in In) (Out, error)
	// first makes call: a first attempt without a loop around it, which is most
	// calls' only one.
	first func(*Inline[In, Out]) func(context.Context, In) (Out, error)
	// guarded is the body of an attempt, whose panic is an error; pack is function
	// pack. Both are for engine.Loop, and made here, since making them for a call
	// would allocate.
	guarded func(context.Context, In) (Out, error)
	pack    func(In) []any
	spec    *engine.Spec
	clock   *engine.Clock
	open    func(d *limits.Declaration) (limits.Sets, error) // nil for the sets of this process
}

// Clock replaces the time and the source of jitter of in-process calls, for tests. A
// nil field means the real one. Calls with the same Clock share one set for each
// limits.Declaration, as calls on one worker do. A set that the program made itself
// keeps its own clock. Set the fields before first use; after that a Clock is safe
// for concurrent use.
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

// Inline binds the method to an implementation in this process. Of the options
// of With, NumRetries and the timeouts hold; the others mean nothing without a
// server.
func (h *MethodHandle[S, In, Out]) Inline(impl S) *Inline[In, Out] {
	return newInline(h.Handle, impl, h.body)
}

// Inline runs the function in this process; see [MethodHandle.Inline].
func (h *FuncHandle[In, Out]) Inline() *Inline[In, Out] {
	return newInline(h.Handle, h.body, func(body func(context.Context, In) (Out, error), ctx context.Context, in In) (Out, error) {
		return body(ctx, in)
	})
}

func newInline[S, In, Out any](h Handle[In, Out], impl S, body func(S, context.Context, In) (Out, error)) *Inline[In, Out] {
	m, err := h.refined()
	if err != nil {
		i := &Inline[In, Out]{spec: &h.m.spec, first: refusing[In, Out](err)}
		return i.bound()
	}
	i := &Inline[In, Out]{spec: &m.spec, clock: realClock(), pack: pack[In]}
	i.guarded = func(ctx context.Context, in In) (out Out, err error) {
		defer func() {
			if r := recover(); r != nil {
				failure.Panicked(r, &err)
			}
		}()
		return body(impl, ctx, in)
	}
	i.first = (*Inline[In, Out]).whole
	if m.spec.Plain() {
		i.first = shortcut(impl, body)
	}
	return i.bound()
}

func (i *Inline[In, Out]) bound() *Inline[In, Out] {
	i.call = i.first(i)
	return i
}

// refusing makes calls that fail with err.
func refusing[In, Out any](err error) func(*Inline[In, Out]) func(context.Context, In) (Out, error) {
	return func(*Inline[In, Out]) func(context.Context, In) (Out, error) {
		return func(context.Context, In) (out Out, _ error) { return out, err }
	}
}

// whole makes calls that need something before their first attempt, or after it.
func (i *Inline[In, Out]) whole() func(context.Context, In) (Out, error) {
	return func(ctx context.Context, in In) (out Out, err error) {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		return i.loop(in).Run(ctx, nil)
	}
}

// shortcut makes calls whose success needs nothing before it and nothing after. It
// is one function, so that a success costs a few nanoseconds beside the body.
func shortcut[S, In, Out any](impl S, body func(S, context.Context, In) (Out, error)) func(*Inline[In, Out]) func(context.Context, In) (Out, error) {
	return func(i *Inline[In, Out]) func(context.Context, In) (Out, error) {
		return func(ctx context.Context, in In) (out Out, err error) {
			if ctx.Done() != nil {
				return i.within(ctx, in)
			}
			returned := false
			defer func() {
				if returned {
					return
				}
				if r := recover(); r != nil {
					failure.Panicked(r, &err)
					out, err = i.loop(in).Run(ctx, err)
				}
			}()
			out, err = body(impl, ctx, in)
			returned = true
			if err == nil {
				return out, nil
			}
			return i.loop(in).Run(ctx, err)
		}
	}
}

// within is a call by shortcut whose context may have ended, or be of another
// call's attempt: those, too, have a Done channel.
func (i *Inline[In, Out]) within(ctx context.Context, in In) (out Out, err error) {
	if err := ctx.Err(); err != nil {
		return out, err
	}
	if out, err = i.guarded(engine.Nested(ctx), in); err == nil {
		return out, nil
	}
	return i.loop(in).Run(ctx, err)
}

var realClock = sync.OnceValue(func() *engine.Clock { //nolint:gochecknoglobals // constant
	c := engine.Clock{}.WithDefaults()
	return &c
})

// WithClock returns i with another clock, for tests.
func (i *Inline[In, Out]) WithClock(c *Clock) *Inline[In, Out] {
	clock := engine.Clock{Now: c.Now, Sleep: c.Sleep, Random: c.Random}.WithDefaults()
	changed := *i
	changed.clock, changed.open = &clock, c.open
	return changed.bound()
}

// Call runs the method and waits for its end. With a ctx that has ended nothing is
// begun. Errors are the method's own, in a *retrypolicy.StopError that says why
// there was no further attempt, a *validation.RetryValidationError, or the
// context's.
func (i *Inline[In, Out]) Call(ctx context.Context, in In) (Out, error) { return i.call(ctx, in) }

// callApart is Call on a goroutine that is not the caller's: a body that ends its
// goroutine, as a test's FailNow does, is an attempt that failed.
func (i *Inline[In, Out]) callApart(ctx context.Context, in In) (Out, error) {
	if i.guarded == nil {
		return i.call(ctx, in) // its error
	}
	l := i.loop(in)
	l.OwnGoroutine = true
	return l.Run(ctx, nil)
}

func (i *Inline[In, Out]) loop(in In) *engine.Loop[In, Out] {
	return &engine.Loop[In, Out]{Spec: i.spec, Clock: i.clock, In: in, Pack: i.pack, Body: i.guarded, Open: i.open}
}
