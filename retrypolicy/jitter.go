package retrypolicy

import (
	"fmt"
	"math"
	"time"
)

// Jitter is how a wait is spread between zero and its ceiling, so that many
// callers that failed together do not come back together.
type Jitter uint64

// The low half of a Jitter is its kind, the high half the bits of a
// proportion: comparable, usable in constants, and 0.3 does not compile.
const (
	// FullJitter is uniform in (0, ceiling], the default. See "Exponential
	// Backoff And Jitter", AWS Architecture Blog, 2015.
	FullJitter Jitter = iota
	// NoJitter always waits the ceiling.
	NoJitter
	// EqualJitter is uniform in (ceiling/2, ceiling].
	EqualJitter
	proportional
	jitterKinds
)

// Proportional is uniform within a proportion, above 0 and at most 1, around
// the ceiling: Proportional(0.1) waits between 90 % and 110 % of it, but never
// longer than MaxWait.
func Proportional(proportion float64) Jitter {
	return proportional | Jitter(math.Float32bits(float32(proportion)))<<32
}

func (j Jitter) kind() Jitter        { return j & math.MaxUint32 }
func (j Jitter) proportion() float64 { return float64(math.Float32frombits(uint32(j >> 32))) }

func (j Jitter) check() *FieldError {
	if j.kind() >= jitterKinds || j.kind() != proportional && j>>32 != 0 {
		return &FieldError{Field: "Jitter", Value: uint64(j), Allowed: "must be FullJitter, NoJitter, EqualJitter or made by Proportional"}
	}
	if p := j.proportion(); j.kind() == proportional && (math.IsNaN(p) || p <= 0 || p > 1) {
		return &FieldError{Field: "Jitter", Value: j, Allowed: "the proportion must be above 0 and at most 1"}
	}
	return nil
}

// String is the jitter's name.
func (j Jitter) String() string {
	switch j.kind() {
	case FullJitter:
		return "FullJitter"
	case NoJitter:
		return "NoJitter"
	case EqualJitter:
		return "EqualJitter"
	default:
		return fmt.Sprintf("Proportional(%v)", float32(j.proportion()))
	}
}

// apply wants a positive ceiling and returns a positive wait.
func (j Jitter) apply(ceiling time.Duration, random func(int64) int64) time.Duration {
	uniform := func(span time.Duration) time.Duration { // (0, span]
		if span <= 0 {
			return 0
		}
		return 1 + time.Duration(random(int64(span)))
	}
	switch j.kind() {
	case NoJitter:
		return ceiling
	case EqualJitter:
		return ceiling/2 + uniform(ceiling-ceiling/2)
	case proportional:
		half := saturate(float64(ceiling) * j.proportion())
		return max(ceiling-half+uniform(2*half), 1)
	default:
		return uniform(ceiling)
	}
}
