package attempt

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
)

// Resume decides whether a call goes on that has started attempts before, without
// the judgement of one: when it comes back from the server, or after a lost one.
// A nil end says that it does, and that the budget has paid where lost says that
// nobody had decided on this retry.
func (s *Spec) Resume(j *Journal, elapsed time.Duration, lost bool, c *Clock) (stop retrypolicy.Stop, end error) {
	detail := ""
	switch most := s.Retry.MaxElapsed; {
	case j.Started == 0:
		return "", nil
	case s.spent(j):
		return retrypolicy.StopSpent, s.known(j, nil)
	case most > 0 && elapsed > most && j.Snoozes > 0:
		stop, detail = retrypolicy.StopLimits, fmt.Sprintf("limits: no room until %v after the first attempt; MaxElapsed is %v", elapsed.Round(time.Millisecond), most)
	case most > 0 && elapsed > most:
		stop, detail = retrypolicy.StopMaxElapsed, fmt.Sprintf("attempt %d would start %v after the first one; MaxElapsed is %v", j.Started+1, elapsed.Round(time.Millisecond), most)
	case lost:
		stop, detail = retrypolicy.StopBudget, s.pay(c)
	}
	if detail == "" {
		return "", nil
	}
	return stop, s.known(j, &retrypolicy.StopError{Stop: stop, Detail: detail})
}

// known is the end of a call whose last attempt left no error to return, only
// its outcome in the journal. stopped says why no other attempt is made; nil
// that no retry is left.
func (s *Spec) known(j *Journal, stopped *retrypolicy.StopError) error {
	err, refused := s.lastKnown(j, stopped)
	if stopped == nil || refused {
		return err
	}
	stopped.Err = err
	return stopped
}

func (s *Spec) lastKnown(j *Journal, stopped *retrypolicy.StopError) (err error, refused bool) {
	lost := false
	for _, o := range slices.Backward(j.Outcomes) {
		switch {
		case o.BeforeReset:
			continue
		case o.Verdict == retrypolicy.Lost:
			lost = true
		case o.Verdict == retrypolicy.Refused:
			return s.refusals(j, stopped), true
		case lost:
			return s.lost(j, &o), false
		default:
			return temporal.NewApplicationError(o.Reason, o.ErrorType), false
		}
	}
	return s.lost(j, nil), false
}

func (s *Spec) refusals(j *Journal, stopped *retrypolicy.StopError) error {
	e := validation.New(s.Method, j.Started, j.Outcomes, j.LeftOut)
	e.Stopped = stopped
	return e
}

func (s *Spec) lost(j *Journal, last *retrypolicy.Outcome) error {
	e := &LostError{Method: s.Method, Attempts: j.Started}
	for _, o := range j.Outcomes {
		if o.Verdict == retrypolicy.Lost && !o.BeforeReset {
			e.Lost = append(e.Lost, o.Attempt)
		}
	}
	e.Last = last
	return e
}
