package limits

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/concurry-go/concurry/retrypolicy"
)

// Units is an amount for each limit, by name: what a request wants, or what was used.
// Units are whole numbers.
type Units map[string]int

// Kind says what a limit bounds.
type Kind string

const (
	// KindResource bounds what is held at one time.
	KindResource Kind = "resource"
	// KindRate bounds what is taken within a time.
	KindRate Kind = "rate"
	// KindCalls is a rate of which every acquisition takes one unit by itself.
	KindCalls Kind = "calls"
)

const (
	// CallsName is the name of a limit made by Calls.
	CallsName = "calls"
	// MaxWindow is the longest Window of a rate.
	MaxWindow = 366 * 24 * time.Hour
	// MaxCapacity is the largest Capacity that is not infinite, and the largest Burst.
	MaxCapacity = 1e12
)

// Limit is one bound of a set. It is plain data, which [New] checks; [Resource], [Rate]
// and [Calls] make it. The zero value is not valid.
type Limit struct {
	// Name is what requests name the limit by. It is not empty, and unique in its set.
	Name string
	// Kind says what the limit bounds.
	Kind Kind
	// Capacity is the number of units of a resource, or of a rate in each Window. A
	// resource needs a whole number from 1 to MaxCapacity. A rate needs a number from 1
	// to MaxCapacity, or math.Inf(1) for no bound: declare half a unit per minute as one
	// unit in two minutes. AlgorithmTokenBucket, AlgorithmGCRA and AlgorithmLeakyBucket
	// count fractions; the windows round down, 1.9 to 1.
	Capacity float64
	// Window is the time in which a rate admits Capacity units: above 0 and at most
	// MaxWindow for a rate, 0 for a resource.
	Window time.Duration
	// Algorithm says how a rate is measured. Empty means AlgorithmSlidingWindow; a
	// resource has none.
	Algorithm Algorithm
	// Burst is how many units AlgorithmTokenBucket and AlgorithmGCRA admit at once, from
	// 1 to MaxCapacity. Zero means Capacity. The other algorithms have none.
	Burst float64
	// PerAttempt makes a limit of KindCalls count every attempt of a call. By default
	// it counts each call once, however often it is retried.
	PerAttempt bool
}

// Resource returns a limit on the units that are held at one time, such as connections.
func Resource(name string, capacity int) Limit {
	return Limit{Name: name, Kind: KindResource, Capacity: float64(capacity)}
}

// Rate returns a limit on the units that are taken in each window, such as requests per
// minute; see [Limit] for fractions and infinity.
func Rate(name string, capacity float64, window time.Duration) Limit {
	return Limit{Name: name, Kind: KindRate, Capacity: capacity, Window: window}
}

// Calls returns a limit on the calls that begin in each window. Every acquisition takes
// one unit of it without naming it. The engine does so once for each call, and not again
// when the call is retried, unless PerAttempt is set. Its name is [CallsName].
func Calls(capacity float64, window time.Duration) Limit {
	return Limit{Name: CallsName, Kind: KindCalls, Capacity: capacity, Window: window}
}

// By returns l measured by another algorithm.
func (l Limit) By(a Algorithm) Limit {
	l.Algorithm = a
	return l
}

// WithBurst returns l with another Burst.
func (l Limit) WithBurst(burst float64) Limit {
	l.Burst = burst
	return l
}

// EachAttempt returns l with PerAttempt set.
func (l Limit) EachAttempt() Limit {
	l.PerAttempt = true
	return l
}

// FieldError reports a field of a limit, or an argument, that is not allowed, such as
// `limit "tokens": Window`. It is the type of package retrypolicy, so that a program
// that shows users what is wrong needs to know one.
type FieldError = retrypolicy.FieldError

// checkAll returns nil if the limits can make one set, or else every mistake, each a
// *[FieldError].
func checkAll(limits ...Limit) error {
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
		if l.way() == nil {
			bad("Algorithm", string(l.Algorithm), "must be one of "+join(algorithms())+", or empty for the first")
		}
	default:
		bad("Kind", string(l.Kind), "must be resource, rate or calls: use Resource, Rate or Calls")
	}
	way := l.way()
	switch {
	case l.Burst != 0 && (way == nil || !way.bursts):
		bad("Burst", l.Burst, "must be 0 unless the algorithm is token_bucket or gcra")
	case math.IsNaN(l.Burst) || l.Burst < 0 || l.Burst > 0 && l.Burst < 1 || l.Burst > MaxCapacity:
		bad("Burst", l.Burst, fmt.Sprintf("must be from 1 to %.0f, or 0 for the capacity", MaxCapacity))
	}
	if l.PerAttempt && l.Kind != KindCalls {
		bad("PerAttempt", true, "must be false unless the kind is calls")
	}
	return errs
}

// checkCapacity checks the capacity of a new limit, or of a resize.
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

// maxRequest returns the largest request that a limit of this capacity can ever grant.
func (l *Limit) maxRequest() int64 {
	c := l.burst()
	if math.IsInf(c, 1) || c >= MaxCapacity {
		return MaxCapacity
	}
	return int64(c)
}

// wholeUnits reports whether a rate's algorithm counts no fractions.
func (l *Limit) wholeUnits() bool { return l.way().whole }

// burst returns how many units can be taken at one instant.
func (l *Limit) burst() float64 {
	if l.Burst > 0 {
		return l.Burst
	}
	return l.Capacity
}
