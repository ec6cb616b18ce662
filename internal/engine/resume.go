package engine

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/retrypolicy"
)

// LastRefused reports whether the last known outcome is a refusal.
func LastRefused(j *Journal) bool {
	for i := len(j.Outcomes) - 1; i >= 0; i-- {
		switch o := &j.Outcomes[i]; {
		case o.BeforeReset:
			return false
		case o.Verdict != retrypolicy.VerdictLost:
			return o.Verdict == retrypolicy.VerdictRefused
		}
	}
	return false
}

// Resumption is what is known when a call goes on without the judgement of an
// attempt: when it comes back from the server, or after a lost one.
type Resumption struct {
	Elapsed time.Duration
	// Lost tells that nobody has decided on this retry.
	Lost bool
	// Cause is the error of the last attempt where somebody else has reported
	// it; nil if not.
	Cause   error
	Attempt retrypolicy.Attempt
}

// Resume decides whether a call goes on that has started attempts before. A nil
// end says that it does, and that the budget has paid for a lost one.
func (s *Spec) Resume(j *Journal, r Resumption, c *Clock) (stop retrypolicy.Stop, end error) {
	if j.Started == 0 {
		return "", nil
	}
	if r.Cause != nil {
		if _, stop, _ = s.retries(j, r.Cause, false, r.Attempt); stop != "" {
			return stop, s.End(j, Decision{Err: r.Cause, Verdict: retrypolicy.VerdictFailed}, stop, "").Err
		}
	}
	detail := ""
	switch most := s.Retry.MaxElapsed; {
	case s.spent(j):
		return retrypolicy.StopSpent, s.Known(j, s.Stopped(j, retrypolicy.StopSpent, ""))
	case most > 0 && r.Elapsed > most && j.LimitWaits > 0:
		stop, detail = retrypolicy.StopLimits, fmt.Sprintf("limits: no room until %v after the first attempt; MaxElapsed is %v", r.Elapsed.Round(time.Millisecond), most)
	case most > 0 && r.Elapsed > most:
		stop, detail = retrypolicy.StopMaxElapsed, fmt.Sprintf("attempt %d would start %v after the first one; MaxElapsed is %v", j.Started+1, r.Elapsed.Round(time.Millisecond), most)
	case r.Lost:
		stop, detail = retrypolicy.StopBudget, s.pay(c)
	}
	if detail == "" {
		return "", nil
	}
	return stop, s.Known(j, s.Stopped(j, stop, detail))
}

// Known is the end of a call whose last attempt left no error to return, only
// its outcome in the journal. stopped says why no other attempt is made.
func (s *Spec) Known(j *Journal, stopped *retrypolicy.StopError) error {
	err, refused := s.LastKnown(j, stopped)
	if refused {
		return err
	}
	stopped.Err = err
	return stopped
}

func (s *Spec) LastKnown(j *Journal, stopped *retrypolicy.StopError) (err error, refused bool) {
	lost := false
	for _, o := range slices.Backward(j.Outcomes) {
		switch {
		case o.BeforeReset:
			continue
		case o.Verdict == retrypolicy.VerdictLost:
			lost = true
		case o.Verdict == retrypolicy.VerdictRefused:
			return s.Refusals(j, stopped), true
		case lost:
			return s.lost(j, &o), false
		default:
			return temporal.NewApplicationError(o.Reason, o.ErrorType), false
		}
	}
	return s.lost(j, nil), false
}

func (s *Spec) Refusals(j *Journal, stopped *retrypolicy.StopError) error {
	e := failure.Refused(s.Method, j.Started, j.Outcomes, j.LeftOut)
	e.Stopped = stopped
	return e
}

func (s *Spec) lost(j *Journal, last *retrypolicy.Outcome) error {
	e := &failure.LostError{Method: s.Method}
	for _, o := range j.Outcomes {
		if o.Verdict == retrypolicy.VerdictLost && !o.BeforeReset {
			e.Lost, e.Reason = append(e.Lost, o.Number), o.Reason
		}
	}
	e.Last = last
	return e
}
