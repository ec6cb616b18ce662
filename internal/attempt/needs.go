package attempt

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"time"

	"github.com/concurry-go/concurry/internal/limitengine"
	"github.com/concurry-go/concurry/limits"
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

// needs is what each attempt of one call requires, and of whom.
type needs struct {
	limiter  limits.Limiter
	units    limits.Units
	charging bool      // the source has call limits
	stays    bool      // every wait for them is in place
	since    time.Time // when the call first asked for them, in a workflow environment
}

// engine returns the engine's side of the limiter.
func (n *needs) engine() limitengine.Limiter[limits.Lease] {
	return n.limiter.EngineLimiter(limitengine.Access{})
}

// acquires tells whether the engine has anything to acquire.
func (n *needs) acquires() bool { return len(n.units) > 0 || n.charging }

// of is what one call needs. open finds the sets of a declaration.
func (l *Limits) of(args []any, open func(d *limits.Declaration) (limits.Sets, error)) (n needs, err error) {
	key := ""
	if l.Key != nil {
		if key, err = guarded("LimitKey", func() string { return l.Key(args) }); err != nil {
			return n, err
		}
	}
	n.charging = l.Source.EngineSource(limitengine.Access{}).ChargesCalls()
	if n.units, err = l.requires(args); err != nil {
		return n, err
	}
	switch source := l.Source.(type) {
	case *limits.Declaration:
		sets, err := open(source)
		if err != nil {
			return n, err
		}
		n.limiter = sets.For(key)
	case limits.Sets:
		n.limiter = source.For(key)
	case limits.Limiter: // a set or a pool
		n.limiter = source
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
	more, err := guarded("RequiresOf", func() limits.Units { return l.RequiresOf(args) })
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

// named is an error about units, or about where there are any, with the method's
// name.
func (s *Spec) named(err error) error {
	_, units := errors.AsType[*limits.UnitsError](err)
	if units || errors.Is(err, errNoSession) || errors.Is(err, errOutside) {
		return fmt.Errorf("%s: %w", s.Method, err)
	}
	return err
}

// guarded calls a function of the user's.
func guarded[T any](name string, f func() T) (v T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("limits: %s panicked: %v\n%s", name, r, debug.Stack())
		}
	}()
	return f(), nil
}

// charge is what an attempt takes of call limits: a call is charged once.
func charge(started int) limitengine.Charge {
	if started == 0 {
		return limitengine.ChargeCalls
	}
	return limitengine.ChargeAttempt
}
