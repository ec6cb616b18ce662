package retrypolicy

import (
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	// DefaultWait is the base wait of a policy whose Wait is zero.
	DefaultWait = time.Second
	// DefaultInPlace is the longest wait that a worker does itself when
	// Policy.InPlace is zero: one second.
	// Temporal servers with default settings cannot retry sooner than about
	// one second after a failure.
	DefaultInPlace = time.Second
	// MaxDuration bounds every wait and timeout, so that no formula overflows: a
	// year.
	MaxDuration = 365 * 24 * time.Hour
	// MaxRetries bounds NumRetries.
	MaxRetries = 1_000_000

	// MaxCases bounds how many Cases a policy has.
	MaxCases = 1000

	// NoWait as Policy.Wait retries at once.
	NoWait time.Duration = -1

	// NeverInPlace as Policy.InPlace leaves every wait to the Temporal server.
	NeverInPlace time.Duration = -1
	// AlwaysInPlace as Policy.InPlace lets the worker do every wait.
	AlwaysInPlace = MaxDuration
)

// Policy says what is retried and how long to wait in between. Its zero value is one
// attempt. It is plain data: copy it, compare fields, keep it in a variable.
// [Policy.Check] finds its mistakes, and a definition calls that.
type Policy struct {
	// NumRetries is the number of retries after the first attempt, from 0
	// (the default: one attempt) to MaxRetries. A method's body is started
	// at most NumRetries+1 times per call; Cases add theirs.
	NumRetries int

	// Backoff is how the wait grows: Exponential (the default, when nil),
	// Linear, Fibonacci, Constant, or a BackoffFunc.
	Backoff Backoff

	// Wait is the base wait of the backoff. Zero means DefaultWait; NoWait
	// means none. No other negative value is allowed.
	Wait time.Duration

	// MaxWait caps every computed wait. Zero means MaxDuration. A delay asked
	// for by After is not capped.
	MaxWait time.Duration

	// Jitter spreads the waits. The zero value is FullJitter.
	Jitter Jitter

	// RetryOn lists the filters an error is offered to, in order; it is
	// retried if one of them says yes. Empty means every error. Errors made
	// by Permanent, non-retryable Temporal application errors and
	// cancellations are never retried. A result refused by a validator is
	// always retried, whatever stands here.
	RetryOn []Filter

	// Cases are errors with retries and waits of their own: the first one that
	// an error is of decides, and neither NumRetries nor RetryOn holds for it.
	Cases []Case

	// MaxElapsed bounds the time since the call's first attempt started: a
	// retry that would start later is not made, and the call ends with its
	// last error, which says so. It cuts no attempt off; CallTimeout does.
	// Zero is no bound.
	MaxElapsed time.Duration

	// Budget, if not nil, bounds the retries of all calls that share it. It
	// counts in the process that decides on the retry, the worker's.
	Budget *Budget

	// InPlace is the longest wait that the worker does itself: it keeps its slot
	// and heartbeats. A longer wait is handed to the Temporal server, which frees
	// the slot. Zero means DefaultInPlace. NeverInPlace, and every other negative
	// value, hands all waits to the server; AlwaysInPlace hands it none.
	InPlace time.Duration
}

// FieldError reports a field of a policy, a configuration, a definition or a limit
// that is not allowed.
type FieldError struct {
	Field   string // such as "Retry.NumRetries"
	Value   any    // what it is
	Allowed string // such as "must be 0 or more"
}

func (e *FieldError) Error() string {
	if s, ok := e.Value.(string); ok {
		return fmt.Sprintf("%s %q: %s", e.Field, s, e.Allowed)
	}
	return fmt.Sprintf("%s %v: %s", e.Field, e.Value, e.Allowed)
}

// Check returns nil, or every mistake in the policy, each a *FieldError.
func (p *Policy) Check() error {
	var errs []error
	bad := func(field string, value any, allowed string) {
		errs = append(errs, &FieldError{Field: field, Value: value, Allowed: allowed})
	}
	errs = append(errs, p.checkCurve("")...)
	for i, f := range p.RetryOn {
		if f == nil {
			bad(fmt.Sprintf("RetryOn[%d]", i), "nil", filterAllowed)
		}
	}
	if len(p.Cases) > MaxCases {
		bad("Cases", fmt.Sprintf("%d of them", len(p.Cases)), fmt.Sprintf("must be at most %d", MaxCases))
	}
	for i := range p.Cases {
		errs = append(errs, p.Cases[i].check(fmt.Sprintf("Cases[%d].", i))...)
	}
	if len(errs) == 0 && p.Attempts() > MaxRetries+1 {
		bad("Cases", fmt.Sprintf("%d retries", p.Attempts()-1-p.NumRetries), fmt.Sprintf("must allow at most %d retries together with NumRetries", MaxRetries))
	}
	if p.MaxElapsed < 0 || p.MaxElapsed > MaxDuration {
		bad("MaxElapsed", p.MaxElapsed, fmt.Sprintf("must be positive and at most %v, or 0 for no bound", MaxDuration))
	}
	if p.Budget != nil {
		errs = append(errs, p.Budget.check()...)
	}
	return errors.Join(errs...)
}

const filterAllowed = "must be a filter such as retrypolicy.ErrorIs(io.EOF), with something to look for"

// checkCurve checks what a policy and a case have in common, its fields named
// after prefix.
func (p *Policy) checkCurve(prefix string) (errs []error) {
	bad := func(field string, value any, allowed string) {
		errs = append(errs, &FieldError{Field: prefix + field, Value: value, Allowed: allowed})
	}
	if p.NumRetries < 0 || p.NumRetries > MaxRetries {
		bad("NumRetries", p.NumRetries, fmt.Sprintf("must be from 0 (no retries) to %d", MaxRetries))
	}
	if c, ok := p.Backoff.(interface{ check() *FieldError }); ok {
		if e := c.check(); e != nil {
			bad(e.Field, e.Value, e.Allowed)
		}
	}
	if p.Wait < 0 && p.Wait != NoWait || p.Wait > MaxDuration {
		bad("Wait", p.Wait, fmt.Sprintf("must be positive, 0 (the default, %v) or NoWait, and at most %v", DefaultWait, MaxDuration))
	}
	if p.MaxWait < 0 || p.MaxWait > MaxDuration {
		bad("MaxWait", p.MaxWait, fmt.Sprintf("must be positive, or 0 (the default, %v)", MaxDuration))
	}
	if e := p.Jitter.check(); e != nil {
		bad(e.Field, e.Value, e.Allowed)
	}
	return errs
}

// Attempts returns how many attempts a call may start at most: NumRetries+1, and the
// retries of all Cases.
func (p *Policy) Attempts() int {
	attempts := p.NumRetries + 1
	for i := range p.Cases {
		attempts += p.Cases[i].NumRetries
	}
	return attempts
}

// baseWait returns Wait with its default applied; 0 for NoWait.
func (p *Policy) baseWait() time.Duration {
	switch p.Wait {
	case 0:
		return DefaultWait
	case NoWait:
		return 0
	default:
		return p.Wait
	}
}

// Ceiling returns how long the wait after failed attempt n (from 1) is at most,
// before jitter: the backoff's value, between 0 and MaxWait.
func (p *Policy) Ceiling(n int) time.Duration {
	base := p.baseWait()
	if base == 0 {
		return 0
	}
	backoff := p.Backoff
	if backoff == nil {
		backoff = Exponential
	}
	return min(max(ceilingOf(backoff, base, max(n, 1)), 0), p.maxWait())
}

// ceilingOf takes MaxWait, the careful choice, from a backoff that panics.
func ceilingOf(backoff Backoff, base time.Duration, n int) (ceiling time.Duration) {
	if a, ok := backoff.(Algorithm); ok {
		return a.Ceiling(base, n)
	}
	defer func() {
		if recover() != nil {
			ceiling = MaxDuration
		}
	}()
	return backoff.Ceiling(base, n)
}

// Delay returns the wait after failed attempt n (from 1), jitter applied. Unless the
// ceiling is 0, it is never 0. random is a source such as
// math/rand/v2.Int64N: uniform in [0, n).
func (p *Policy) Delay(n int, random func(n int64) int64) time.Duration {
	ceiling := p.Ceiling(n)
	if ceiling <= 0 {
		return 0
	}
	return min(p.Jitter.apply(ceiling, random), p.maxWait())
}

func (p *Policy) maxWait() time.Duration {
	if p.MaxWait > 0 {
		return p.MaxWait
	}
	return MaxDuration
}

// saturate turns a product that may be out of range into a wait.
func saturate(f float64) time.Duration {
	if math.IsNaN(f) || f > float64(MaxDuration) {
		return MaxDuration
	}
	return time.Duration(f)
}
