package engine

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/concurry-go/concurry/internal/failure"
	"github.com/concurry-go/concurry/internal/marks"
	"github.com/concurry-go/concurry/internal/retry"
	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
)

// Action is what comes after an attempt.
type Action int

const (
	// Accept: the result is the call's.
	Accept Action = iota
	// End: the call ends with Decision.Err.
	End
	// WaitHere: sleep Decision.Delay on the worker, then the next attempt.
	WaitHere
	// WaitServer: hand the call to the server for Decision.Delay.
	WaitServer
)

// Decision is the engine's answer to an outcome.
type Decision struct {
	Action Action
	Delay  time.Duration
	// Err is what the call ends with, or why the attempt is retried.
	Err error
	// Verdict is what became of the attempt, and Cause why: its error, or the
	// validator's.
	Verdict retrypolicy.Verdict
	Cause   error
	// Stop is why there is no further attempt, if Action is End.
	Stop retrypolicy.Stop
	// Problem is something to log: a filter that panicked.
	Problem error
}

// Bounds is what the driver can offer for another attempt.
type Bounds struct {
	// HereUntil is until when a further attempt may run here; zero is no bound.
	// It is what is left of the server attempt.
	HereUntil time.Time
	// CallUntil is until when the call may go on at all; zero is no bound.
	CallUntil time.Time
	// RunsHere is false when nothing more may run here, since the worker is
	// stopping. NoWaits is true when nothing more may wait here, since too many
	// do already.
	RunsHere, NoWaits bool
	// ServerWaits is false where no server can take over a wait.
	ServerWaits bool
	// Allows reports whether the caller's own retry policy lets the server make
	// another attempt after a cause; nil is yes.
	Allows func(cause error) bool
}

func (r *Bounds) allows(cause error) bool { return r.Allows == nil || r.Allows(cause) }

// Judge closes the running attempt of j with what its body returned, and
// decides. It is pure: time and chance come from c, and only validators and
// filters run. encode prepares a refused result for the journal.
func (s *Spec) Judge(j *Journal, result any, err error, a retrypolicy.Attempt, c *Clock, room Bounds, encode func(any) retrypolicy.Value) Decision {
	if err == nil {
		refusal := s.validate(result, a)
		if refusal == nil {
			return Decision{Action: Accept, Verdict: retrypolicy.VerdictAccepted}
		}
		reason, refusal := failure.TextOf(refusal)
		j.end(retrypolicy.Outcome{Verdict: retrypolicy.VerdictRefused, Reason: reason, Result: encode(result)}, s.journalBytes())
		return s.next(j, &failure.RefusedError{Reason: refusal}, a, c, room)
	}
	reason, err := failure.TextOf(err)
	j.end(retrypolicy.Outcome{Verdict: retrypolicy.VerdictFailed, Reason: reason, ErrorType: failure.TypeOf(err)}, 0)
	return s.next(j, err, a, c, room)
}

func (s *Spec) validate(result any, a retrypolicy.Attempt) (refusal error) {
	for i, v := range s.Validators {
		if err := askValidator(v, i, result, a); err != nil {
			return err
		}
	}
	return nil
}

func askValidator(v Validator, i int, result any, a retrypolicy.Attempt) (refusal error) {
	defer func() {
		if r := recover(); r != nil {
			refusal = fmt.Errorf("validator %d panicked: %v\n%s", i+1, r, debug.Stack())
		}
	}()
	return v(result, a)
}

// next decides after an outcome that was not accepted.
func (s *Spec) next(j *Journal, cause error, a retrypolicy.Attempt, c *Clock, room Bounds) Decision {
	refused, isRefusal := cause.(*failure.RefusedError) //nolint:errorlint // never wrapped
	d := Decision{Action: End, Err: cause, Verdict: retrypolicy.VerdictFailed, Cause: cause}
	if isRefusal {
		d.Verdict, d.Cause = retrypolicy.VerdictRefused, refused.Reason
	}
	of, stop, problem := s.retries(j, cause, isRefusal, a)
	d.Problem = problem
	if stop != "" {
		return s.End(j, d, stop, "")
	}
	delay, told := retrypolicy.DelayOf(cause)
	switch {
	case told:
	case of >= 0:
		delay = retry.CaseDelay(&s.Retry, of, j.ofCase(of)+1, c.Random)
	default:
		delay = s.Retry.Delay(j.Started-j.caseRetries(), c.Random)
	}
	inPlace := room.RunsHere && delay <= retry.InPlaceWait(&s.Retry) && (delay == 0 || !room.NoWaits)
	if s.Retry.MaxElapsed > 0 {
		if elapsed := a.Elapsed(); delay > s.Retry.MaxElapsed-elapsed {
			return s.End(j, d, retrypolicy.StopMaxElapsed, misfit(delay, told, s.Retry.MaxElapsed-elapsed, "MaxElapsed"))
		}
	}
	if !room.CallUntil.IsZero() || !room.HereUntil.IsZero() {
		now := c.Now()
		start := now.Add(delay)
		if !room.CallUntil.IsZero() && !start.Before(room.CallUntil) { // the wait cannot fit, so it is not begun
			detail := misfit(delay, told, room.CallUntil.Sub(now), "the call's timeout")
			if late, ok := errors.AsType[*failure.TimeoutError](cause); ok && late.Call {
				detail = outOfTime(j, late.Name())
			}
			return s.End(j, d, retrypolicy.StopCallTimeout, detail)
		}
		inPlace = inPlace && (room.HereUntil.IsZero() || start.Add(s.AttemptTimeout).Before(room.HereUntil))
	}
	inPlace = inPlace || !room.ServerWaits
	if !inPlace && !room.allows(cause) {
		return s.End(j, d, retrypolicy.StopCaller, "")
	}
	if detail := s.pay(c); detail != "" {
		return s.End(j, d, retrypolicy.StopBudget, detail)
	}
	if of >= 0 {
		j.retryOfCase(of)
	}
	j.Outcomes[len(j.Outcomes)-1].Wait = delay
	d.Action, d.Delay = where(inPlace), delay
	return d
}

// pay takes a retry from the budget; it says why, if there is none to take.
func (s *Spec) pay(c *Clock) (refusal string) {
	b := s.Retry.Budget
	if b == nil {
		return ""
	}
	now := c.Now()
	if b.TryRetry(now) {
		return ""
	}
	attempts, retries := b.Recent(now)
	return fmt.Sprintf("the retry budget is spent: of the last %d attempts %d were retries", attempts, retries)
}

// End is d as the call's end: with why there is no further attempt, and with a
// detail where the call had retries left.
func (s *Spec) End(j *Journal, d Decision, stop retrypolicy.Stop, detail string) Decision {
	d.Stop = stop
	stopped := s.Stopped(j, stop, detail)
	switch {
	case d.Verdict == retrypolicy.VerdictRefused:
		d.Err = s.Refusals(j, stopped)
	case s.Governs():
		stopped.Err = marks.Unmark(d.Err)
		d.Err = stopped
	default:
		d.Err = failure.EndOfCall(d.Err)
	}
	return d
}

// Stopped says why a call ends.
func (s *Spec) Stopped(j *Journal, stop retrypolicy.Stop, detail string) *retrypolicy.StopError {
	if j.Adopted > 0 {
		beside := fmt.Sprintf("beside %d server attempt(s) that its policy did not govern", j.Adopted)
		detail = strings.TrimPrefix(detail+", "+beside, ", ")
	}
	return &retrypolicy.StopError{Stop: stop, Attempts: j.Started, Detail: detail}
}

// outOfTime says that a timeout of the call ended its last attempt, and what the
// one before ended with; empty where there was none.
func outOfTime(j *Journal, timeout string) string {
	n := len(j.Outcomes) - 1
	if n >= 0 && j.Outcomes[n].Number == j.Started { // else the last attempt is not among them
		n--
	}
	if n < 0 || j.Outcomes[n].BeforeReset {
		return ""
	}
	return fmt.Sprintf("%s ended attempt %d; attempt %d: %s", timeout, j.Started, j.Outcomes[n].Number, wire.Cut(j.Outcomes[n].Reason, maxEarlier))
}

// maxEarlier bounds what an error tells of an attempt before the last.
const maxEarlier = 300

// misfit says that a wait does not fit.
func misfit(delay time.Duration, told bool, left time.Duration, of string) string {
	asked := ""
	if told {
		asked = " that was asked for"
	}
	return fmt.Sprintf("the wait of %v%s does not fit into %v, what is left of %s", delay, asked, max(left, 0).Round(time.Millisecond), of)
}

// retries reports whether a cause is retried, as long as there is time: of which
// case, or -1, and if not, why not. problem is of filters that panicked.
func (s *Spec) retries(j *Journal, cause error, isRefusal bool, a retrypolicy.Attempt) (of int, stop retrypolicy.Stop, problem error) {
	if !isRefusal && s.openCase(j) && !retrypolicy.IsPermanent(cause) {
		of, problem = retry.CaseOf(&s.Retry, cause, a)
		switch {
		case of < 0:
		case j.ofCase(of) >= s.Retry.Cases[of].NumRetries || j.Started >= s.Retry.Attempts():
			return of, retrypolicy.StopCase, problem
		default:
			return of, "", problem
		}
	}
	switch {
	case s.spent(j):
		return -1, retrypolicy.StopSpent, problem
	case isRefusal && !retrypolicy.IsPermanent(cause):
		return -1, "", nil
	case isRefusal:
		return -1, retrypolicy.StopPermanent, nil
	}
	yes, panicked := retry.Wanted(&s.Retry, cause, a)
	if panicked != nil {
		problem = errors.Join(problem, panicked)
	}
	switch {
	case yes:
		return -1, "", problem
	case retrypolicy.IsPermanent(cause):
		return -1, retrypolicy.StopPermanent, problem
	default:
		return -1, retrypolicy.StopFiltered, problem
	}
}

// spent reports whether the call may not start another body: cases add to
// NumRetries what they have been granted. Whatever earlier versions of the
// policy have granted, the bound of this one holds.
func (s *Spec) spent(j *Journal) bool {
	return j.Started > s.Retry.NumRetries+j.caseRetries() || j.Started >= s.Retry.Attempts()
}

// openCase reports whether the answer of some case matters: whether it has a
// retry left, or takes one of NumRetries away.
func (s *Spec) openCase(j *Journal) bool {
	if len(s.Retry.Cases) == 0 {
		return false
	}
	for i := range s.Retry.Cases {
		if j.ofCase(i) < s.Retry.Cases[i].NumRetries {
			return true
		}
	}
	return !s.spent(j)
}

func where(here bool) Action {
	if here {
		return WaitHere
	}
	return WaitServer
}
