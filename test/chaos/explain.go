package main

import (
	"fmt"

	"github.com/concurry-go/concurry/retrypolicy"
)

// explain is nil where a call's policy and bodies allow its outcome.
func (r *result) explain() error {
	o, s := r.outcome, r.shape
	not := func(why string) error { return fmt.Errorf("ended with %s, %s: %s", o, why, o.Text) }
	if r.holdsCalls() { // of which each has been explained; no worker for the next one may be a timeout
		switch o.Ending {
		case endsWell, endsSession, endsTimedOut:
			return nil
		case endsCanceled:
			if r.canceled {
				return nil
			}
		}
		return not("which a session cannot have")
	}
	switch o.Ending {
	case endsWell, endsBodys:
		if err := r.explainBody(); err != nil {
			return not(err.Error())
		}
	case endsRefused:
		if !s.Validated {
			return not("without a validator")
		}
	case endsCanceled:
		if !r.canceled {
			return not("and nobody canceled it")
		}
	case endsWaiting:
		if s.Limit == unlimited {
			return not("without limits")
		}
	case endsTimedOut:
		// The server makes no other attempt of a call that was canceled, and ends
		// it with that of a worker that has gone. So does one without a policy.
		if s.CallTimeout == 0 && !r.canceled && s.governed() {
			return not("without a call timeout")
		}
	case endsSession:
		if r.spec.Kind != inSession {
			return not("outside a session")
		}
	case endsBetween:
		// The server makes no other attempt of a call that was canceled, or ran out of
		// time, while its hand-back was on its way, and ends it with that.
		if s.CallTimeout == 0 && !r.canceled {
			return not("without a call timeout, and nobody canceled it")
		}
	case endsStrange:
		return not("which is none that a call can have")
	}
	return r.explainStop()
}

// explainBody checks that the body exists whose result or error it is.
func (r *result) explainBody() error {
	o := &r.outcome
	if o.Call != r.call {
		return fmt.Errorf("of call %q", o.Call)
	}
	if !r.started[o.Body] {
		return fmt.Errorf("of attempt %d, of which no body was started", o.Body)
	}
	does := r.spec.Input.step(o.Body).Act
	switch good := does == succeeds || does == refused && !r.shape.Validated; {
	case o.Ending == endsWell && !good:
		return fmt.Errorf("of attempt %d, which %s", o.Body, does)
	case o.Ending == endsBodys && (does == succeeds || does == refused || does == blocks || does == exits || does == dies):
		return fmt.Errorf("of attempt %d, which %s", o.Body, does)
	case o.Act != "" && o.Act != does:
		return fmt.Errorf("of one that %s, of attempt %d, which %s", o.Act, o.Body, does)
	}
	return nil
}

// explainStop checks that the call has what it was stopped by.
func (r *result) explainStop() error {
	has := map[retrypolicy.Stop]bool{
		retrypolicy.StopSpent:       true,
		retrypolicy.StopCase:        r.shape.CaseRetries > 0,
		retrypolicy.StopFiltered:    r.shape.Filtered,
		retrypolicy.StopPermanent:   true,
		retrypolicy.StopCallTimeout: r.shape.CallTimeout > 0,
		retrypolicy.StopMaxElapsed:  r.shape.MaxElapsed > 0,
		retrypolicy.StopLimits:      r.shape.Limit != unlimited,
		retrypolicy.StopCanceled:    r.canceled,
	}
	if o := r.outcome; o.Stop != "" && !has[o.Stop] {
		return fmt.Errorf("stopped by %q, which it does not have: %s", string(o.Stop), o.Text)
	}
	return nil
}

// holdsCalls reports whether the result is a session's workflow's, whose calls
// have results of their own.
func (r *result) holdsCalls() bool { return r.spec.Kind == inSession && r.call == r.spec.ID }
