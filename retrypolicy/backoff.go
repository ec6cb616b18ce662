package retrypolicy

import (
	"math/bits"
	"time"
)

// Backoff computes how long the wait after failed attempt n (from 1) may be,
// from the policy's base wait. Implementations are pure and safe for
// concurrent use. Values outside [0, MaxWait] are cut to it; a panic is
// MaxWait.
type Backoff interface {
	Ceiling(wait time.Duration, n int) time.Duration
}

// BackoffFunc is a custom [Backoff]. It must be safe for concurrent use.
type BackoffFunc func(wait time.Duration, n int) time.Duration

// Ceiling implements Backoff.
func (f BackoffFunc) Ceiling(wait time.Duration, n int) time.Duration { return f(wait, n) }

func (f BackoffFunc) check() *FieldError {
	if f == nil {
		return &FieldError{Field: "Backoff", Value: "BackoffFunc(nil)", Allowed: "must be a function, or leave Backoff unset for exponential"}
	}
	return nil
}

// Algorithm is one of the backoffs that come with this package. Its text is
// the one of configuration files.
type Algorithm string

const (
	// Exponential doubles: wait·2^(n-1), that is 1, 2, 4, 8, 16 times wait.
	Exponential Algorithm = "exponential"
	// Linear grows by wait: wait·n, that is 1, 2, 3, 4, 5 times wait.
	Linear Algorithm = "linear"
	// Fibonacci follows wait·fib(n): 1, 1, 2, 3, 5, 8 times wait.
	Fibonacci Algorithm = "fibonacci"
	// Constant always waits wait.
	Constant Algorithm = "constant"
)

const algorithmsAllowed = `must be "exponential", "linear", "fibonacci" or "constant"`

// Ceiling implements [Backoff]; it saturates at MaxDuration. An unknown algorithm,
// which [Policy.Check] refuses, is exponential.
func (a Algorithm) Ceiling(wait time.Duration, n int) time.Duration {
	n = max(n, 1)
	switch a {
	case Linear:
		return times(wait, uint64(n))
	case Fibonacci:
		return times(wait, fibonacci(n))
	case Constant:
		return times(wait, 1)
	default:
		if n > 63 {
			return times(wait, 1<<63)
		}
		return times(wait, 1<<(n-1))
	}
}

func (a Algorithm) check() *FieldError {
	switch a {
	case Exponential, Linear, Fibonacci, Constant:
		return nil
	default:
		return &FieldError{Field: "Backoff", Value: string(a), Allowed: algorithmsAllowed}
	}
}

// ParseAlgorithm returns the algorithm of a name in a configuration file. The empty
// name is [Exponential]; the error for an unknown one is a [*FieldError].
func ParseAlgorithm(name string) (Algorithm, error) {
	if name == "" {
		return Exponential, nil
	}
	a := Algorithm(name)
	if err := a.check(); err != nil {
		return "", &FieldError{Field: "retry_algorithm", Value: name, Allowed: algorithmsAllowed}
	}
	return a, nil
}

// times is wait·factor, at most MaxDuration.
func times(wait time.Duration, factor uint64) time.Duration {
	if wait <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(wait), factor)
	if high != 0 || low > uint64(MaxDuration) {
		return MaxDuration
	}
	return time.Duration(low)
}

// fibonacci is 1, 1, 2, 3, 5, … for n = 1, 2, 3, 4, 5, …; it stops growing at
// the last number that fits.
func fibonacci(n int) uint64 {
	var a, b uint64 = 0, 1
	for range min(n, 93) - 1 {
		a, b = b, a+b
	}
	return b
}
