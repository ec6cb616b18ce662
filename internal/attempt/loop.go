package attempt

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/concurry-go/concurry/internal/wire"
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
type Loop[Out any] struct {
	Spec  *Spec
	Clock *Clock
	// Arguments are what filters and validators may ask for.
	Arguments func() []any
	// Body runs one attempt.
	Body func(ctx context.Context) (Out, error)

	journal Journal
	start   time.Time
	end     time.Time // of the call; zero is none
}

// First is the outcome of a first attempt that has been run already.
type First[Out any] struct {
	Out Out
	Err error
}

// Run runs the call to its end. first may be nil.
func (l *Loop[Out]) Run(ctx context.Context, first *First[Out]) (Out, error) {
	var zero Out
	if l.Spec.needsClock() || l.Spec.CallTimeout > 0 {
		l.start = l.Clock.Now()
	}
	if l.Spec.CallTimeout > 0 {
		l.end = l.start.Add(l.Spec.CallTimeout)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.Spec.CallTimeout)
		defer cancel()
	}
	for {
		n := l.journal.begin()
		var out Out
		var err error
		if first != nil {
			out, err, first = first.Out, first.Err, nil
		} else {
			out, err = l.attempt(ctx)
		}
		if err == nil && len(l.Spec.Validators) == 0 {
			return out, nil
		}
		if err != nil && ctx.Err() != nil {
			return zero, retrypolicy.Unmark(err) // cancelled, or out of time: never retried
		}
		a := retrypolicy.Attempt{Number: n, Method: l.Spec.Method, Call: l}
		d := l.Spec.Judge(&l.journal, out, err, a, l.Clock, Room{Call: l.end, Here: true}, keepLive)
		switch d.Action {
		case Accept:
			return out, nil
		case End:
			return zero, retrypolicy.Unmark(d.Err)
		}
		if d.Delay > 0 {
			l.Clock.Sleep(d.Delay, ctx.Done())
		}
		if ctx.Err() != nil {
			return zero, fmt.Errorf("%w before attempt %d; attempt %d: %w", context.Cause(ctx), n+1, n, d.Err)
		}
	}
}

func keepLive(v any) retrypolicy.Value { return live{v} }

func (l *Loop[Out]) attempt(ctx context.Context) (Out, error) {
	if l.journal.Started > 1 {
		ctx = context.WithValue(ctx, previousKey{}, l.journal.Outcomes[:len(l.journal.Outcomes):len(l.journal.Outcomes)])
	}
	if l.Spec.AttemptTimeout <= 0 {
		return l.guarded(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, l.Spec.AttemptTimeout)
	defer cancel()
	done := make(chan First[Out], 1)
	go func() {
		var r First[Out]
		defer func() { done <- r }()
		r.Out, r.Err = l.guarded(ctx)
	}()
	patience := time.NewTimer(l.Spec.AttemptTimeout + abandonAfter)
	defer patience.Stop()
	select {
	case r := <-done:
		return r.Out, r.Err
	case <-patience.C:
		var zero Out
		return zero, ErrAbandoned
	}
}

func (l *Loop[Out]) guarded(ctx context.Context) (out Out, err error) {
	defer Recovered(&err)
	return l.Body(ctx)
}

// Elapsed implements retrypolicy.Call.
func (l *Loop[Out]) Elapsed() time.Duration {
	if l.start.IsZero() {
		return 0
	}
	return l.Clock.Now().Sub(l.start)
}

// Args implements retrypolicy.Call.
func (l *Loop[Out]) Args() []any { return l.Arguments() }

// Previous implements retrypolicy.Call.
func (l *Loop[Out]) Previous() []retrypolicy.Outcome { return l.journal.earlier() }

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
