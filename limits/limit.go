package limits

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Units says how much of each key is wanted, or was used.
type Units map[string]int

// Kind is what a limit bounds.
type Kind string

const (
	// KindResource bounds what is held at one time.
	KindResource Kind = "resource"
	// KindRate bounds what is taken within a time.
	KindRate Kind = "rate"
	// KindCalls is a rate of which every acquisition takes one unit by itself.
	KindCalls Kind = "calls"
)

// Algorithm is how a rate is measured, and so what it promises.
//
// A promise is about what was used in the end: what was given back does not
// count, and what was used beyond an acquisition counts from when Use said so.
// Nothing holds that up, but it holds up what comes after: the promise is about
// every time at whose end something was acquired.
//
// Over a Resize, the capacity of windows and the Burst are those in force when the
// last unit was acquired, and time lets through what the rate in force as it passed
// does. A time with an infinite capacity in it has no bound.
type Algorithm string

const (
	// AlgorithmSlidingWindow, the default: at most Capacity units in every stretch of
	// time as long as Window. It remembers every acquisition of the last
	// Window.
	AlgorithmSlidingWindow Algorithm = "sliding_window"
	// AlgorithmFixedWindow: at most Capacity units in each of the windows that follow
	// one another from the set's making on; of a key, from its first use on.
	// Around the border of two there can be twice as many within one Window.
	// What was used beyond the capacity that a window had at its end counts in
	// the next.
	AlgorithmFixedWindow Algorithm = "fixed_window"
	// AlgorithmTokenBucket: a bucket of Burst tokens, full at first, gets Capacity new
	// ones per Window, and a unit takes one out. In any time t at most
	// Burst + Capacity·t/Window units.
	AlgorithmTokenBucket Algorithm = "token_bucket"
	// AlgorithmGCRA is the generic cell rate algorithm (ITU-T I.371): the same as the
	// token bucket, computed from the time at which the next unit is due. It
	// admits the same, to the nanosecond.
	AlgorithmGCRA Algorithm = "gcra"
	// AlgorithmLeakyBucket lets units through one after another, Window/Capacity apart,
	// as water leaves through a hole: there are no bursts. A request of n
	// units is let through as one, and the next has to wait n times as long.
	AlgorithmLeakyBucket Algorithm = "leaky_bucket"
)

const (
	// CallsName is the key of a limit made by Calls.
	CallsName = "calls"
	// MaxWindow bounds a rate's window.
	MaxWindow = 366 * 24 * time.Hour
	// MaxCapacity bounds a capacity that is not infinite.
	MaxCapacity = 1e12
)

// Limit is one bound on one key: plain data, checked by New. Make it with
// Resource, Rate or Calls.
type Limit struct {
	// Name is what requests call the limit by; unique within its set.
	Name string
	// Kind is what it bounds.
	Kind Kind
	// Capacity is how many units there are: whole and at least 1 for a
	// resource; at least 1 for a rate, or infinite. Fractions of a rate count
	// with AlgorithmTokenBucket, GCRA and AlgorithmLeakyBucket; windows, which count whole units,
	// admit one of 1.9. Fewer than one per window are one per longer window.
	Capacity float64
	// Window is the time within which a rate allows Capacity units.
	Window time.Duration
	// Algorithm is how a rate is measured; empty means AlgorithmSlidingWindow.
	Algorithm Algorithm
	// Burst is the size of a AlgorithmTokenBucket, and the tolerance of GCRA in units:
	// at least 1; zero means Capacity. The other algorithms have none.
	Burst float64
	// PerAttempt makes a limit of KindCalls count every attempt of a call, not
	// each call once.
	PerAttempt bool
}

// Resource bounds how many units are held at one time, such as connections.
func Resource(name string, capacity int) Limit {
	return Limit{Name: name, Kind: KindResource, Capacity: float64(capacity)}
}

// Rate bounds how many units are taken within a time, such as requests per
// minute. Fractions count with the buckets; math.Inf(1) is no bound.
func Rate(name string, capacity float64, window time.Duration) Limit {
	return Limit{Name: name, Kind: KindRate, Capacity: capacity, Window: window}
}

// Calls bounds how many calls begin within a time. Every acquisition takes one
// unit of it without naming it; the engine does so once per call, not again
// when the call is retried, unless PerAttempt is set.
func Calls(capacity float64, window time.Duration) Limit {
	return Limit{Name: CallsName, Kind: KindCalls, Capacity: capacity, Window: window}
}

// By is l measured by another algorithm.
func (l Limit) By(a Algorithm) Limit {
	l.Algorithm = a
	return l
}

// WithBurst is l with a bucket of another size.
func (l Limit) WithBurst(burst float64) Limit {
	l.Burst = burst
	return l
}

// EachAttempt is l with PerAttempt set.
func (l Limit) EachAttempt() Limit {
	l.PerAttempt = true
	return l
}

// FieldError says which field of a limit is wrong, and what is allowed.
type FieldError struct {
	Field   string // such as `limit "tokens": Window`
	Value   any
	Allowed string
}

func (e *FieldError) Error() string {
	if s, ok := e.Value.(string); ok {
		return fmt.Sprintf("%s %q: %s", e.Field, s, e.Allowed)
	}
	return fmt.Sprintf("%s %v: %s", e.Field, e.Value, e.Allowed)
}

// Check returns nil, or every mistake in the limits of one set, each a
// *FieldError.
func Check(limits ...Limit) error {
	var errs []error
	seen := map[string]bool{}
	for _, l := range limits {
		errs = append(errs, l.check()...)
		if seen[l.Name] {
			errs = append(errs, &FieldError{Field: "limit", Value: l.Name, Allowed: "must not stand twice in a set"})
		}
		seen[l.Name] = true
	}
	if len(limits) == 0 {
		errs = append(errs, &FieldError{Field: "limits", Value: "none", Allowed: "must be at least one"})
	}
	return errors.Join(errs...)
}

func (l *Limit) check() (errs []error) {
	bad := func(field string, value any, allowed string) {
		errs = append(errs, &FieldError{Field: fmt.Sprintf("limit %q: %s", l.Name, field), Value: value, Allowed: allowed})
	}
	if l.Name == "" {
		bad("Name", l.Name, "must not be empty")
	}
	if err := l.checkCapacity(l.Capacity); err != nil {
		errs = append(errs, err)
	}
	switch l.Kind {
	case KindResource:
		if l.Window != 0 {
			bad("Window", l.Window, "must be 0 for a resource, which is no rate")
		}
		if l.Algorithm != "" {
			bad("Algorithm", string(l.Algorithm), "must be empty for a resource, which is no rate")
		}
	case KindRate, KindCalls:
		if l.Window <= 0 || l.Window > MaxWindow {
			bad("Window", l.Window, fmt.Sprintf("must be above 0 and at most %v", MaxWindow))
		}
		known := []Algorithm{"", AlgorithmSlidingWindow, AlgorithmFixedWindow, AlgorithmTokenBucket, AlgorithmLeakyBucket, AlgorithmGCRA}
		if !slices.Contains(known, l.Algorithm) {
			bad("Algorithm", string(l.Algorithm), "must be one of "+join(known[1:])+", or empty for the first")
		}
	default:
		bad("Kind", string(l.Kind), "must be resource, rate or calls: use Resource, Rate or Calls")
	}
	bursts := l.Algorithm == AlgorithmTokenBucket || l.Algorithm == AlgorithmGCRA
	switch {
	case l.Burst != 0 && !bursts:
		bad("Burst", l.Burst, "must be 0 unless the algorithm is token_bucket or gcra")
	case math.IsNaN(l.Burst) || l.Burst < 0 || l.Burst > 0 && l.Burst < 1 || l.Burst > MaxCapacity:
		bad("Burst", l.Burst, fmt.Sprintf("must be from 1 to %.0f, or 0 for the capacity", MaxCapacity))
	}
	if l.PerAttempt && l.Kind != KindCalls {
		bad("PerAttempt", true, "must be false unless the kind is calls")
	}
	return errs
}

// checkCapacity is for new limits, and for Resize.
func (l *Limit) checkCapacity(c float64) error {
	bad := func(allowed string) error {
		return &FieldError{Field: fmt.Sprintf("limit %q: Capacity", l.Name), Value: c, Allowed: allowed}
	}
	switch {
	case l.Kind == KindResource && (math.IsNaN(c) || c < 1 || c > MaxCapacity || c != math.Trunc(c)):
		return bad(fmt.Sprintf("must be a whole number from 1 to %.0f", MaxCapacity))
	case math.IsNaN(c) || c < 1 || c > MaxCapacity && !math.IsInf(c, 1):
		return bad(fmt.Sprintf("must be from 1 to %.0f, or infinite; fewer than one per window are one per longer window", MaxCapacity))
	}
	return nil
}

func join[S ~string](all []S) string {
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = string(s)
	}
	return strings.Join(texts, ", ")
}

// most is the largest request that a limit of this capacity can ever grant.
func (l *Limit) most() int64 {
	c := l.burst()
	if math.IsInf(c, 1) || c >= MaxCapacity {
		return MaxCapacity
	}
	return int64(c)
}

// wholeUnits tells whether a rate's algorithm counts no fractions.
func (l *Limit) wholeUnits() bool {
	return l.Algorithm == "" || l.Algorithm == AlgorithmSlidingWindow || l.Algorithm == AlgorithmFixedWindow
}

// burst is how many units there can be at one instant.
func (l *Limit) burst() float64 {
	if l.Burst > 0 {
		return l.Burst
	}
	return l.Capacity
}
