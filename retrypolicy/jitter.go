package retrypolicy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Jitter spreads a wait between zero and its ceiling, so that many callers that
// failed together do not come back together. The zero value is [FullJitter]; there
// are [NoJitter], [EqualJitter] and [Proportional] besides. Its text, also in JSON,
// is full, none, equal or proportional(0.1).
type Jitter uint64 // the low half is the kind, the high half the bits of a proportion

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

// Proportional returns a jitter that is uniform within a proportion, above 0 and at
// most 1, around the ceiling: Proportional(0.1) waits between 90 % and 110 % of it,
// but never longer than MaxWait. [Policy.Check] refuses other proportions.
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

// String returns the jitter's text.
func (j Jitter) String() string {
	switch j.kind() {
	case FullJitter:
		return "full"
	case NoJitter:
		return "none"
	case EqualJitter:
		return "equal"
	case proportional:
		return fmt.Sprintf("proportional(%v)", float32(j.proportion()))
	default:
		return fmt.Sprintf("Jitter(%d)", uint64(j))
	}
}

// MarshalText implements [encoding.TextMarshaler].
func (j Jitter) MarshalText() ([]byte, error) { return []byte(j.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The error is a [*FieldError].
func (j *Jitter) UnmarshalText(text []byte) error {
	for _, known := range []Jitter{FullJitter, NoJitter, EqualJitter} {
		if string(text) == known.String() {
			*j = known
			return nil
		}
	}
	number, found := strings.CutPrefix(string(text), "proportional(")
	number, closed := strings.CutSuffix(number, ")")
	p, err := strconv.ParseFloat(number, 32)
	read := Proportional(p)
	if !found || !closed || err != nil || read.check() != nil {
		return &FieldError{Field: "Jitter", Value: string(text), Allowed: "must be full, none, equal, or proportional(p) with p above 0 and at most 1"}
	}
	*j = read
	return nil
}

// UnmarshalJSON implements [json.Unmarshaler]. It also reads the numbers that
// versions before the first release have written; others are for Check to refuse.
func (j *Jitter) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err == nil && !bytes.Equal(data, []byte("null")) {
		return j.UnmarshalText([]byte(text))
	}
	return json.Unmarshal(data, (*uint64)(j))
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
