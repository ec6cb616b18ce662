// Package retry is the part of a retry policy that only the engine needs: the
// questions to its filters and cases, and the policies that Temporal's server
// gets in its place.
package retry

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/concurry-go/concurry/retrypolicy"
)

// Wanted reports whether p retries err, the outcome of a. The second result
// names filters that panicked, each of which counted as no.
func Wanted(p *retrypolicy.Policy, err error, a retrypolicy.Attempt) (bool, error) {
	if retrypolicy.IsPermanent(err) {
		return false, nil
	}
	if len(p.RetryOn) == 0 {
		return true, nil
	}
	var problems error
	for i, f := range p.RetryOn {
		yes, problem := ask(f, err, a)
		if problem != nil {
			problems = errors.Join(problems, fmt.Errorf("RetryOn[%d] %w", i, problem))
		}
		if yes {
			return true, problems
		}
	}
	return false, problems
}

func ask(f retrypolicy.Filter, err error, a retrypolicy.Attempt) (yes bool, problem error) {
	defer func() {
		if r := recover(); r != nil {
			yes, problem = false, fmt.Errorf("panicked: %v\n%s", r, debug.Stack())
		}
	}()
	return f(err, a), nil
}

// CaseOf returns the index of the first case of p that err is of, outcome of a;
// -1 if it is of none, and the policy's own numbers and filters hold. The second
// result names filters that panicked, each of which counted as no.
func CaseOf(p *retrypolicy.Policy, err error, a retrypolicy.Attempt) (int, error) {
	var problems error
	for i := range p.Cases {
		yes, problem := ask(p.Cases[i].On, err, a)
		if problem != nil {
			problems = errors.Join(problems, fmt.Errorf("Cases[%d].On %w", i, problem))
		}
		if yes {
			return i, problems
		}
	}
	return -1, problems
}

// CaseDelay returns the wait after the n-th error (from 1) of p.Cases[i], jitter
// applied; see [retrypolicy.Policy.Delay].
func CaseDelay(p *retrypolicy.Policy, i, n int, random func(n int64) int64) time.Duration {
	return curve(&p.Cases[i]).Delay(n, random)
}

// LongestCeiling returns the ceiling of one retry more than there are, of the
// policy itself or of a case: no wait of a call is longer.
func LongestCeiling(p *retrypolicy.Policy) time.Duration {
	longest := p.Ceiling(p.NumRetries + 1)
	for i := range p.Cases {
		c := curve(&p.Cases[i])
		longest = max(longest, c.Ceiling(c.NumRetries+1))
	}
	return longest
}

// curve is a case as a policy of its own.
func curve(c *retrypolicy.Case) *retrypolicy.Policy {
	return &retrypolicy.Policy{NumRetries: c.NumRetries, Backoff: c.Backoff, Wait: c.Wait, MaxWait: c.MaxWait, Jitter: c.Jitter}
}
