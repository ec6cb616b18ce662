package attempt

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/concurry-go/concurry/internal/wire"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/validation"
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
	// Problem is something to log: a filter that panicked.
	Problem error
}

// Room is what the driver can offer for another attempt.
type Room struct {
	// Place is until when a further attempt may run here; zero is no bound.
	// It is what is left of the server attempt.
	Place time.Time
	// Call is until when the call may go on at all; zero is no bound.
	Call time.Time
	// Here is false when no wait can be slept here: the worker is stopping,
	// or has too many asleep already.
	Here bool
	// Server is false where no server can take over a wait.
	Server bool
}

// Judge closes the running attempt of j with what its body returned, and
// decides. It is pure: time and chance come from c, and only validators and
// filters run. encode prepares a refused result for the journal.
func (s *Spec) Judge(j *Journal, result any, err error, a retrypolicy.Attempt, c *Clock, room Room, encode func(any) retrypolicy.Value) Decision {
	if err == nil {
		refusal := s.validate(result, a)
		if refusal == nil {
			return Decision{Action: Accept}
		}
		reason, refusal := textOf(refusal)
		j.end(retrypolicy.Outcome{Verdict: retrypolicy.Refused, Reason: reason, Result: encode(result)}, s.journalBytes())
		return s.next(j, &refusedError{reason: refusal}, a, c, room)
	}
	reason, err := textOf(err)
	j.end(retrypolicy.Outcome{Verdict: retrypolicy.Failed, Reason: reason, ErrorType: TypeOf(err)}, 0)
	return s.next(j, err, a, c, room)
}

// textOf reads err's text. One that panics, such as a nil pointer in an error,
// is replaced by its panic.
func textOf(err error) (text string, same error) {
	defer func() {
		if r := recover(); r != nil {
			same = &PanicError{Value: fmt.Sprintf("%T: its Error method panicked: %v", err, r), Stack: debug.Stack()}
			text = same.Error()
		}
	}()
	text = err.Error()
	_ = errors.Is(err, errProbe) // walks the chain, as everything after this does
	return text, err
}

var errProbe = errors.New("probe")

// refusedError stands for a refusal among the causes of a retry.
type refusedError struct{ reason error }

func (e *refusedError) Error() string { return e.reason.Error() }
func (e *refusedError) Unwrap() error { return e.reason }

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
func (s *Spec) next(j *Journal, cause error, a retrypolicy.Attempt, c *Clock, room Room) Decision {
	_, isRefusal := cause.(*refusedError) //nolint:errorlint // never wrapped
	end := func(problem error) Decision {
		if isRefusal {
			return Decision{Action: End, Err: s.refusals(j), Problem: problem}
		}
		return Decision{Action: End, Err: cause, Problem: problem}
	}
	if j.Started >= s.Retry.Attempts() || isRefusal && retrypolicy.IsPermanent(cause) {
		return end(nil)
	}
	var problem error
	if !isRefusal {
		var yes bool
		if yes, problem = s.Retry.Retries(cause, a); !yes {
			return end(problem)
		}
	}
	delay, told := retrypolicy.DelayOf(cause)
	if !told {
		delay = s.Retry.Delay(j.Started, c.Random)
	}
	inPlace := room.Here && delay <= s.Retry.InPlaceWait()
	if !room.Call.IsZero() || !room.Place.IsZero() {
		start := c.Now().Add(delay)
		if !room.Call.IsZero() && !start.Before(room.Call) {
			return end(problem) // the wait cannot fit, so it is not begun
		}
		inPlace = inPlace && (room.Place.IsZero() || start.Add(s.AttemptTimeout).Before(room.Place))
	}
	j.Outcomes[len(j.Outcomes)-1].Wait = delay
	return Decision{Action: where(inPlace || !room.Server), Delay: delay, Err: cause, Problem: problem}
}

func where(here bool) Action {
	if here {
		return WaitHere
	}
	return WaitServer
}

// Spent is how a call ends that may not start another body, before it starts
// one: the last known outcome decides, and it says what left none.
func (s *Spec) Spent(j *Journal) error {
	for _, o := range slices.Backward(j.Outcomes) {
		switch {
		case o.BeforeReset || o.Verdict == retrypolicy.Lost:
			continue
		case o.Verdict == retrypolicy.Refused:
			return s.refusals(j)
		default:
			return s.lost(j, &o)
		}
	}
	return s.lost(j, nil)
}

func (s *Spec) refusals(j *Journal) error {
	return validation.New(s.Method, j.Started, j.Outcomes, j.LeftOut)
}

func (s *Spec) lost(j *Journal, last *retrypolicy.Outcome) error {
	e := &LostError{Method: s.Method, Attempts: j.Started}
	for _, o := range j.Outcomes {
		if o.Verdict == retrypolicy.Lost && !o.BeforeReset {
			e.Lost = append(e.Lost, o.Attempt)
		}
	}
	if last != nil {
		e.Last = last
	}
	return e
}

// encodeForWire is the encode of drivers whose journal travels.
func encodeForWire(v any) retrypolicy.Value { return wire.Encode(v) }
