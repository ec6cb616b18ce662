package engine

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/marks"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/limits"
	"github.com/concurry-go/concurry/retrypolicy"
)

// live is a refused result that never left the process.
type live struct{ v any }

// Get implements retrypolicy.Value: as it is where the types agree, else by
// way of its encoded form.
func (l live) Get(ptr any) error {
	if assign(ptr, l.v) {
		return nil
	}
	return wire.Encode(l.v).Get(ptr)
}

// Loop is the driver of calls inside this process: every wait is slept here.
// It is made for one call and used by one goroutine.
type Loop[In, Out any] struct {
	Spec  *Spec
	Clock *Clock
	In    In
	// Pack is In as the arguments that filters and validators may ask for.
	Pack func(In) []any
	// Body runs one attempt; it does not panic.
	Body func(context.Context, In) (Out, error)
	// OwnGoroutine runs each attempt on its own goroutine, so that runtime.Goexit
	// in a body (t.FailNow, for example) fails the attempt instead of ending the
	// caller's goroutine.
	OwnGoroutine bool
	// Open finds the sets of declared limits; nil for those of this process.
	Open func(d *limits.Declaration) (limits.Sets, error)

	journal Journal
	needs   Requirements
	lease   limits.Lease // of the running attempt
	start   time.Time
	end     time.Time // of the call; zero is none
	nested  bool      // the caller's context is that of another call's attempt

	// Calls that end after few retries need no memory but the Loop itself.
	outcomes [fewRetries + 1]retrypolicy.Outcome
	contexts [fewRetries]callContext
}

// fewRetries is how many retries a Loop has room for.
const fewRetries = 3

// Run runs the call to its end. failed is the error of a first attempt that
// has been run already, nil if there was none.
func (l *Loop[In, Out]) Run(ctx context.Context, failed error) (Out, error) {
	var zero Out
	if l.Spec.NeedsClock() || l.Spec.CallTimeout > 0 {
		l.start = l.Clock.Now()
	}
	if l.Spec.Retry.Budget != nil {
		l.Spec.Retry.Budget.NoteAttempt(l.Clock.Now())
	}
	callers := ctx
	l.nested = nestedIn(ctx)
	if l.Spec.CallTimeout > 0 {
		l.end = l.start.Add(l.Spec.CallTimeout)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.Spec.CallTimeout)
		defer cancel()
	}
	if l.Spec.Limits.Source != nil {
		defer func() { l.lease.Release() }() // of a body that ends this goroutine
	}
	var last error
	for {
		err := l.acquire(ctx)
		if err != nil {
			return zero, l.unstarted(callers, err, last)
		}
		n := l.journal.Begin()
		var out Out
		err = failed
		if failed == nil {
			out, err = l.attempt(ctx)
		}
		l.lease.Release()
		failed = nil
		if err == activity.ErrResultPending { //nolint:errorlint // as the SDK compares it
			return zero, err // nobody can complete it here, and it is no failure
		}
		a := retrypolicy.Attempt{Number: n, Method: l.Spec.Method, Past: l}
		if err != nil && ctx.Err() != nil { // canceled, or out of time: never retried
			return zero, l.cutOff(ctx, l.ended(callers), err, a)
		}
		d := Decision{Action: Accept, Verdict: retrypolicy.VerdictAccepted}
		if err != nil || len(l.Spec.Validators) > 0 {
			d = l.judge(out, err, a)
		}
		l.tell(ctx, &d, a)
		last = d.Err
		switch d.Action {
		case Accept:
			return out, nil
		case End:
			return zero, d.Err
		}
		if d.Delay > 0 {
			l.Clock.Sleep(d.Delay, ctx.Done())
		}
		if ctx.Err() != nil {
			return zero, l.interrupted(ctx, l.ended(callers), d.Err)
		}
	}
}

// cutOff is the end of a call whose context has ended while a body ran.
func (l *Loop[In, Out]) cutOff(ctx context.Context, stop retrypolicy.Stop, err error, a retrypolicy.Attempt) error {
	if stop == retrypolicy.StopCallTimeout {
		err = failure.WithTimeout(err, "CallTimeout", l.Spec.CallTimeout, true)
	}
	reason, err := failure.TextOf(err)
	l.tell(ctx, &Decision{Action: End, Verdict: retrypolicy.VerdictFailed, Cause: err, Stop: stop}, a)
	if stop != retrypolicy.StopCallTimeout {
		return failure.EndOfCall(err)
	}
	l.journal.end(retrypolicy.Outcome{Verdict: retrypolicy.VerdictFailed, Reason: reason}, 0)
	detail := outOfTime(&l.journal, fmt.Sprintf("CallTimeout %v", l.Spec.CallTimeout))
	stopped := l.Spec.Stopped(&l.journal, stop, detail)
	stopped.Err = marks.Unmark(err)
	return stopped
}

// acquire takes what the next attempt requires, however long that takes: of a
// retry, as long as MaxElapsed leaves.
func (l *Loop[In, Out]) acquire(ctx context.Context) error {
	s := &l.Spec.Limits
	if s.Source == nil {
		return nil
	}
	if l.needs.Limiter == nil {
		open := l.Open
		if open == nil {
			open = (*limits.Declaration).InProcess
		}
		needs, err := s.Resolve(l.Args(), func(d *limits.Declaration) (limits.Sets, error) {
			if d.Scope() == limits.ScopeSession {
				return nil, errNoSession
			}
			return open(d)
		})
		if err != nil {
			return err
		}
		l.needs = needs
	}
	if !l.needs.Acquires() {
		var err error
		l.lease, err = l.needs.Engine().OpenLease()
		return err
	}
	if most := l.Spec.Retry.MaxElapsed; most > 0 && l.journal.Started > 0 {
		timed, cancel := context.WithTimeoutCause(ctx, max(most-l.Elapsed(), 1), ErrMaxElapsed)
		defer cancel()
		ctx = timed
	}
	var err error
	l.lease, err = l.needs.Engine().Acquire(ctx, l.needs.Units, ChargeFor(l.journal.Started))
	if most := l.Spec.Retry.MaxElapsed; err == nil && most > 0 && l.journal.Started > 0 && l.Elapsed() > most {
		l.lease.Undo() // on the clock of a test, which waits move
		return &limits.WaitError{Err: ErrMaxElapsed}
	}
	return err
}

// interrupted is the end of a call whose context ends between two attempts.
func (l *Loop[In, Out]) interrupted(ctx context.Context, stop retrypolicy.Stop, last error) error {
	n := l.journal.Started
	err := fmt.Errorf("%w before attempt %d; attempt %d: %w", context.Cause(ctx), n+1, n, last)
	if stop == retrypolicy.StopCallTimeout {
		stopped := l.Spec.Stopped(&l.journal, stop, "")
		stopped.Err = err
		return stopped
	}
	return failure.EndOfCall(err)
}

// unstarted is the end of a call whose next attempt got no units, or whose
// caller's context has ended.
func (l *Loop[In, Out]) unstarted(callers context.Context, err, last error) error {
	switch {
	case last == nil && IsWait(err) && callers.Err() == nil:
		stopped := l.Spec.Stopped(&l.journal, retrypolicy.StopLimits, "")
		stopped.Err = &failure.LimitError{Method: l.Spec.Method, Err: err}
		return stopped
	case last == nil && IsWait(err):
		return &failure.LimitError{Method: l.Spec.Method, Err: err}
	case last == nil:
		return l.Spec.Named(err)
	case callers.Err() != nil:
		return l.interrupted(callers, l.ended(callers), last)
	}
	stopped := l.Spec.Stopped(&l.journal, retrypolicy.StopLimits, err.Error())
	if LastRefused(&l.journal) {
		return l.Spec.Refusals(&l.journal, stopped)
	}
	stopped.Err = marks.Unmark(last)
	return stopped
}

// ended is why the call's context has ended. The deadline that CallTimeout puts
// into it is real time, also on the clock of a test.
func (l *Loop[In, Out]) ended(callers context.Context) retrypolicy.Stop {
	if !l.end.IsZero() && (callers.Err() == nil || !l.Clock.Now().Before(l.end)) {
		return retrypolicy.StopCallTimeout
	}
	return retrypolicy.StopCanceled
}

// judge asks the engine. Only validators look at a result, so it becomes an
// any, which allocates, for them alone.
func (l *Loop[In, Out]) judge(out Out, err error, a retrypolicy.Attempt) Decision {
	if l.journal.Outcomes == nil {
		l.journal.Outcomes = l.outcomes[:0]
	}
	var result any
	if err == nil {
		result = out
	}
	return l.Spec.Judge(&l.journal, result, err, a, l.Clock, Bounds{CallUntil: l.end, RunsHere: true}, keepLive)
}

// tell reports a decision; without observers that is its problems alone.
func (l *Loop[In, Out]) tell(ctx context.Context, d *Decision, a retrypolicy.Attempt) {
	LogProblem(ctx, "A retry filter panicked; it counts as no.", l.Spec.Method, d.Problem)
	if len(l.Spec.Observers) > 0 {
		LogProblem(ctx, "An observer of attempts panicked.", l.Spec.Method, Notify(ctx, l.Spec.Observers, l.event(d, a)))
	}
}

// event is d as observers may keep it.
func (l *Loop[In, Out]) event(d *Decision, a retrypolicy.Attempt) retrypolicy.Event {
	a.Past = Snapshot(l)
	return d.Event(a)
}

func keepLive(v any) retrypolicy.Value { return live{v} }

// callContext is the context of an attempt: the caller's, and what the attempts
// before left. The first attempt needs none, unless the caller's is itself that
// of an attempt, of another call.
type callContext struct {
	context.Context
	previous []retrypolicy.Outcome
	number   int
	endless  atomic.Pointer[endless] // once somebody has asked when it ends, where the caller's never does
}

// Done implements context.Context. It is never nil, so that calls look whether their
// context is one like this only where it has a Done channel.
func (c *callContext) Done() <-chan struct{} {
	if done := c.Context.Done(); done != nil {
		return done
	}
	e := c.endless.Load()
	if e == nil {
		e = &endless{}
		e.Context, e.uncalled = context.WithCancel(c.Context) //nolint:gosec // bodies may keep it, so nobody ends it
		if !c.endless.CompareAndSwap(nil, e) {
			e = c.endless.Load()
		}
	}
	return e.Done()
}

// endless is a context that never ends, though one of the standard library's that
// could: those derived from it need no goroutine to watch it, as they would for a
// channel of our own.
type endless struct {
	context.Context
	uncalled context.CancelFunc
}

// Value implements context.Context.
func (c *callContext) Value(key any) any {
	switch key.(type) {
	case PreviousKey:
		return c.previous
	case NumberKey:
		return c.number
	case DriverKey:
		return nil // nobody else can complete this call
	}
	if e := c.endless.Load(); e != nil {
		return e.Value(key)
	}
	return c.Context.Value(key)
}

// nestedIn reports whether ctx is that of another call's attempt.
func nestedIn(ctx context.Context) bool { return Number(ctx) > 0 }

// Nested returns a context for the body of a call that is in its first attempt,
// made by the method whose context ctx is; ctx itself where no method is.
func Nested(ctx context.Context) context.Context {
	if !nestedIn(ctx) {
		return ctx
	}
	return &callContext{Context: ctx, number: 1}
}

func (l *Loop[In, Out]) attempt(ctx context.Context) (Out, error) {
	if retries := l.journal.Started - 1; retries > 0 || l.nested {
		// Each attempt has a context of its own: the body may have kept it.
		var c *callContext
		if retries > 0 && retries <= fewRetries {
			c = &l.contexts[retries-1]
		} else {
			c = &callContext{}
		}
		c.Context, c.previous, c.number = ctx, slices.Clip(l.journal.Outcomes), l.journal.Running
		ctx = c
	}
	if l.needs.Limiter != nil {
		inner, release := l.needs.Engine().Within(ctx, l.lease)
		defer release()
		ctx = inner
	}
	if l.Spec.AttemptTimeout <= 0 && !l.OwnGoroutine {
		return l.Body(ctx, l.In)
	}
	callers := ctx
	var patience <-chan time.Time
	if timeout := l.Spec.AttemptTimeout; timeout > 0 {
		timed, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		ctx = timed
		timer := time.NewTimer(timeout + AbandonAfter)
		defer timer.Stop()
		patience = timer.C
	}
	type result struct {
		out Out
		err error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: failure.ErrGoexit} // unless it returns
		defer func() { done <- r }()
		r.out, r.err = l.Body(ctx, l.In)
	}()
	timeout := l.Spec.AttemptTimeout
	select {
	case r := <-done:
		if timeout > 0 && r.err != nil && ctx.Err() != nil && callers.Err() == nil {
			r.err = failure.WithTimeout(r.err, "AttemptTimeout", timeout, false)
		}
		return r.out, r.err
	case <-patience:
		var zero Out
		return zero, failure.WithTimeout(failure.ErrAbandoned, "AttemptTimeout", timeout, false)
	}
}

// Elapsed implements retrypolicy.Past.
func (l *Loop[In, Out]) Elapsed() time.Duration {
	if l.start.IsZero() {
		return 0
	}
	return l.Clock.Now().Sub(l.start)
}

// Args implements retrypolicy.Past.
func (l *Loop[In, Out]) Args() []any { return l.Pack(l.In) }

// Previous implements retrypolicy.Past.
func (l *Loop[In, Out]) Previous() []retrypolicy.Outcome { return l.journal.Earlier() }

// assign sets *ptr to v where the types allow.
func assign(ptr, v any) bool {
	target := reflect.ValueOf(ptr)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return false
	}
	value := reflect.ValueOf(v)
	if !value.IsValid() || !value.Type().AssignableTo(target.Type().Elem()) {
		return false
	}
	target.Elem().Set(value)
	return true
}
