package engine

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"time"

	"github.com/concurry-go/concurry/internal/limitengine"
	"github.com/concurry-go/concurry/limits"
)

// Why a wait for limits ends.
var (
	ErrServerWaits = errors.New("the server continues the wait")
	ErrCallEnds    = errors.New("the call's time is over")
	ErrPlaceEnds   = errors.New("the server attempt's time is over, and the caller's options allow no other")
	ErrMaxElapsed  = errors.New("MaxElapsed has passed since the first attempt started")
)

func IsWait(err error) bool {
	_, ok := errors.AsType[*limits.WaitError](err)
	return ok
}

var (
	// errNoSession is the error of calls in this process.
	errNoSession = errors.New("limits: they are a session's (limits.PerSession), and Inline runs in none: call the method by Execute, inside activity.InSession")
	// ErrOutside is the error of activities that run in no session.
	ErrOutside = errors.New("limits: they are a session's (limits.PerSession), and the activity runs in none: start it inside activity.InSession, " +
		"on a worker with concurry's plugin (sessions of workflow.CreateSession are not seen, and local activities run in none)")
)

// Limits are what a method's attempts are bound by. The zero value is nothing.
type Limits struct {
	// Source is where the units are; nil for no limits.
	Source limits.Source
	// Requires is what the engine acquires before each attempt.
	Requires limits.Units
	// RequiresOf is what it acquires beside that, by the arguments; nil is
	// nothing.
	RequiresOf func(args []any) limits.Units
	// Key says which of several independent sets; nil is that of the empty key.
	Key func(args []any) string
}

// Requirements is what each attempt of one call requires, and of whom.
type Requirements struct {
	Limiter  limits.Limiter
	Units    limits.Units
	charging bool      // the source has call limits
	Stays    bool      // every wait for them is in place
	Since    time.Time // when the call first asked for them, in a workflow environment
}

// Engine returns the engine's side of the limiter.
func (n *Requirements) Engine() limitengine.Limiter[limits.Lease] {
	return n.Limiter.EngineLimiter(limitengine.Access{})
}

// Acquires reports whether the engine has anything to acquire.
func (n *Requirements) Acquires() bool { return len(n.Units) > 0 || n.charging }

// Resolve is what one call needs. open finds the sets of a declaration.
func (l *Limits) Resolve(args []any, open func(d *limits.Declaration) (limits.Sets, error)) (n Requirements, err error) {
	key := ""
	if l.Key != nil {
		if key, err = callUser("LimitKey", func() string { return l.Key(args) }); err != nil {
			return n, err
		}
	}
	n.charging = l.Source.EngineSource(limitengine.Access{}).ChargesCalls()
	if n.Units, err = l.requires(args); err != nil {
		return n, err
	}
	switch source := l.Source.(type) {
	case *limits.Declaration:
		sets, err := open(source)
		if err != nil {
			return n, err
		}
		n.Limiter = sets.For(key)
	case limits.Sets:
		n.Limiter = source.For(key)
	case limits.Limiter: // a set or a pool
		n.Limiter = source
	default:
		return n, fmt.Errorf("limits: a %T is no source of limits", l.Source)
	}
	return n, nil
}

// requires is all that an attempt requires.
func (l *Limits) requires(args []any) (limits.Units, error) {
	if l.RequiresOf == nil {
		return l.Requires, nil
	}
	more, err := callUser("RequiresOf", func() limits.Units { return l.RequiresOf(args) })
	if err != nil || len(more) == 0 {
		return l.Requires, err
	}
	sum := maps.Clone(more)
	maps.DeleteFunc(sum, func(_ string, n int) bool { return n == 0 })
	for key, n := range l.Requires {
		if sum[key] < 0 {
			continue // an error, when it is acquired
		}
		sum[key] += n
	}
	return sum, nil
}

// Named is an error about units, or about where there are any, with the method's
// name.
func (s *Spec) Named(err error) error {
	_, units := errors.AsType[*limits.UnitsError](err)
	if units || errors.Is(err, errNoSession) || errors.Is(err, ErrOutside) {
		return fmt.Errorf("%s: %w", s.Method, err)
	}
	return err
}

// callUser calls a function of the user's.
func callUser[T any](name string, f func() T) (v T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("limits: %s panicked: %v\n%s", name, r, debug.Stack())
		}
	}()
	return f(), nil
}

// ChargeFor is what an attempt takes of call limits: a call is charged once.
func ChargeFor(started int) limitengine.Charge {
	if started == 0 {
		return limitengine.ChargeCalls
	}
	return limitengine.ChargeAttempt
}
